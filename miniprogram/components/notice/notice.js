// A quiet bar above the page while there is no connection. Tells `act` where there is something to tap, and `height` {px} where that changes.
Component({
  properties: {
    text: String,
    action: String,
  },
  observers: {
    // When it has been drawn: a page that hears of it sets data again.
    'text, action'() {
      setTimeout(() => {
        this.createSelectorQuery().select('.notice').boundingClientRect((rect) => {
          this.triggerEvent('height', { px: rect ? rect.height : 0 })
        }).exec()
      })
    },
  },
  methods: {
    onTap() {
      if (this.data.action) this.triggerEvent('act')
    },
  },
})
