import * as glass from 'glass-easel'
import { codeSpace } from './space.js'

const space = new glass.ComponentSpace()
const ARIA = ['Role', 'Label', 'Hidden', 'Live', 'Expanded', 'Selected', 'Checked']
const ariaName = (name) => (name === 'Role' ? 'role' : `aria-${name.toLowerCase()}`)

/** One of WeChat's own components: its element in the DOM is `this.$$`. */
export function defineElement(tag, { properties, observers, methods, attached }) {
  const reflect = {
    hidden(value) { this.$$.toggleAttribute('hidden', value) },
  }
  for (const name of ARIA) {
    reflect[`aria${name}`] = function (value) { if (value) this.$$.setAttribute(ariaName(name), value) }
  }
  const component = space.defineComponent({
    is: `wx/${tag}`,
    properties: {
      hidden: Boolean,
      hoverClass: String,
      hoverStayTime: Number,
      hoverStopPropagation: Boolean,
      ...Object.fromEntries(ARIA.map((name) => [`aria${name}`, String])),
      ...properties,
    },
    observers: { ...reflect, ...observers },
    methods,
    lifetimes: { attached() { pressLook(this); attached?.call(this) } },
  })
  codeSpace.getComponentSpace().setGlobalUsingComponent(tag, component)
}

export function fire(component, type, detail) {
  component.triggerEvent(type, detail, { bubbles: false, composed: false })
}

// `hover-class` while a finger is on it. WXSS gave the class its scope, which is on the element's other classes.
function pressLook(component) {
  const node = component.$$
  const scoped = () => {
    const scope = [...node.classList].find((name) => name.includes('--'))?.split('--')[0]
    return component.data.hoverClass.split(' ').map((name) => (scope ? `${scope}--${name}` : name))
  }
  node.addEventListener('pointerdown', () => { if (component.data.hoverClass && component.data.hoverClass !== 'none') node.classList.add(...scoped()) })
  for (const name of ['pointerup', 'pointercancel', 'pointerleave']) {
    node.addEventListener(name, () => { if (component.data.hoverClass && component.data.hoverClass !== 'none') node.classList.remove(...scoped()) })
  }
}
