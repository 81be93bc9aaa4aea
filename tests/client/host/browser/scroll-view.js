import { defineElement, fire } from './define-element.js'
import { element } from './tools.js'

const PULL_PX = 45

defineElement('scroll-view', {
  properties: {
    scrollY: Boolean,
    scrollTop: Number,
    scrollIntoView: String,
    scrollWithAnimation: Boolean,
    scrollAnchoring: Boolean,
    upperThreshold: { type: Number, value: 50 },
    lowerThreshold: { type: Number, value: 50 },
    enablePassive: Boolean,
    enhanced: Boolean,
    showScrollbar: { type: Boolean, value: true },
    enableBackToTop: Boolean,
    refresherEnabled: Boolean,
    refresherTriggered: Boolean,
    refresherBackground: String,
    refresherDefaultStyle: String,
  },
  observers: {
    scrollY(on) { this.$$.classList.toggle('y', on) },
    scrollTop(top) { this.$$.scrollTop = top },
    scrollIntoView() { this.reveal?.() },
    refresherTriggered(on) { if (this.refresher) this.refresher.hidden = !on },
  },
  attached() {
    const node = this.$$
    // In the task that changed the data, so that nothing is painted in between.
    this.reveal = () => queueMicrotask(() => {
      const id = this.data.scrollIntoView
      const target = id && [...node.querySelectorAll('*')].find((each) => each.__wxElement?.id === id)
      if (!target) return
      const top = node.scrollTop + target.getBoundingClientRect().top - node.getBoundingClientRect().top
      node.scrollTo({ top, behavior: this.data.scrollWithAnimation ? 'smooth' : 'auto' })
    })
    this.reveal()
    tellScrolling(this, node)
    if (this.data.refresherEnabled) offerRefresh(this, node)
  },
})

function tellScrolling(component, node) {
  let before = node.scrollTop
  let atTop = true
  let atBottom = false
  node.addEventListener('scroll', () => {
    const { scrollTop, scrollHeight, clientHeight } = node
    fire(component, 'scroll', { scrollTop, scrollHeight, scrollLeft: 0, scrollWidth: node.scrollWidth, deltaX: 0, deltaY: before - scrollTop })
    before = scrollTop
    const top = scrollTop <= component.data.upperThreshold
    const bottom = scrollHeight - scrollTop - clientHeight <= component.data.lowerThreshold
    if (top && !atTop) fire(component, 'scrolltoupper', { direction: 'top' })
    if (bottom && !atBottom) fire(component, 'scrolltolower', { direction: 'bottom' })
    atTop = top
    atBottom = bottom
  }, { passive: true })
}

// Pulled down from its top: three dots, until `refresher-triggered` is false again.
function offerRefresh(component, node) {
  const refresher = (component.refresher = element('div', 'wx-refresher'))
  refresher.hidden = !component.data.refresherTriggered
  refresher.append(element('i'), element('i'), element('i'))
  node.prepend(refresher)
  let start
  node.addEventListener('touchstart', (event) => { start = node.scrollTop <= 0 ? event.touches[0].clientY : undefined }, { passive: true })
  node.addEventListener('touchend', (event) => {
    const pulled = start !== undefined && event.changedTouches[0].clientY - start > PULL_PX
    start = undefined
    if (!pulled || !refresher.hidden) return
    refresher.hidden = false
    fire(component, 'refresherrefresh', { dy: PULL_PX })
  })
}
