// The space in which pages and components are defined: glass-easel with a mini-program's habits.
import * as glass from 'glass-easel'
import { MiniProgramEnv } from 'glass-easel-miniprogram-adapter'
import { BUILT_IN } from '../built-in.js'
import { settings } from './settings.js'
import { compareWithWcc } from './wcc.js'

const env = new MiniProgramEnv()
export const codeSpace = env.createCodeSpace('', true)

/** As wxss.js does it in files. */
const inlineStyle = (style) => style
  .replace(/(-?\d*\.?\d+)rpx\b/g, 'calc(var(--rpx) * $1)')
  .replace(/env\(safe-area-inset-bottom\)/g, 'var(--safe-bottom)')

const context = new glass.CurrentWindowBackendContext()
context.document = {
  // `<view>` is `<wx-view>` in the DOM, so that it is no HTML element by chance.
  createElement(tag) {
    const made = document.createElement(BUILT_IN.has(tag) ? `wx-${tag}` : tag)
    const setAttribute = made.setAttribute
    made.setAttribute = (name, value) => setAttribute.call(made, name, name === 'style' ? inlineStyle(String(value)) : value)
    return made
  },
  createTextNode: (text) => document.createTextNode(text),
  createDocumentFragment: () => document.createDocumentFragment(),
}
// Of the DOM's own events only touches are a mini-program's; the built-in components fire theirs.
const { setListenerStats } = context
context.setListenerStats = (node, type, ...more) => {
  if (type.startsWith('touch')) setListenerStats.call(context, node, type, ...more)
}
/** Whether a tap is being handled now: some calls WeChat takes only then. */
export const gesture = { tap: false }
context.onEvent((target, type, detail, options) => {
  gesture.tap = type === 'tap'
  try {
    return glass.triggerEvent(target, type, detail, options)
  } finally {
    gesture.tap = false
  }
})
const backend = env.associateBackend(context)
export const createRoot = (route) => backend.createRoot('wx-root', codeSpace, route)

// As a touch event has them: from the page's corner, which is below the title bar.
Object.defineProperty(glass.Event.prototype, 'touches', {
  get() {
    const original = this.getOriginalEvent()
    const top = document.querySelector('.wx-screen').getBoundingClientRect().top
    return [...(original?.touches || [original])].map(({ clientX, clientY }) => ({ clientX, clientY: clientY - top }))
  },
})

const MOST_BYTES = 1024 * 1024
const LARGE_BYTES = 256 * 1024
const encoder = new TextEncoder()

/**
 * WeChat sends data to the view as JSON: what does not survive that is a fault. A call of 1 MB is refused, as by WeChat; one of more than 256 KB
 * makes a phone stutter, which WeChat only warns of and here fails the test.
 */
function watchSetData(instance) {
  const setData = instance.setData
  instance.setData = function (data, done) {
    const json = JSON.stringify(data, (path, value) => {
      if (value === undefined) console.error(`setData: ${path} is undefined, in ${this.is}`)
      return value
    })
    const bytes = encoder.encode(json).length
    settings.setData.calls += 1
    settings.setData.largest = Math.max(settings.setData.largest, bytes)
    if (bytes > LARGE_BYTES) console.error(`setData: ${bytes} bytes in one call, in ${this.is}`)
    if (bytes > MOST_BYTES) return
    const changed = JSON.parse(json)
    // WeChat's view is told of what is other in the data: a field that was typed into, or a switch that was turned, stays as it is where the data
    // gets what it has already.
    for (const [name, value] of Object.entries(changed)) if (typeof value !== 'object' && value === this.data[name]) delete changed[name]
    setData.call(this, changed)
    compareWithWcc(this)
    if (done) requestAnimationFrame(() => done.call(this))
  }
}

/** Runs a file's `Page` or `Component`. */
export function define(file, load) {
  codeSpace.componentEnv(file, (own) => {
    const watched = own.Behavior({
      lifetimes: {
        created() { watchSetData(this) },
        // Ready is what has been painted once.
        attached() {
          compareWithWcc(this)
          requestAnimationFrame(() => this._$.triggerLifetime('ready', []))
        },
      },
      observers: { '**'() { compareWithWcc(this) } },
    })
    const withWatch = (definition) => ({ ...definition, behaviors: [watched, ...(definition.behaviors || [])] })
    globalThis.Page = (definition) => own.Page(withWatch(definition))
    globalThis.Component = (definition) => own.Component(withWatch(definition))
    globalThis.Behavior = own.Behavior
    load()
  })
}

// A long press of 350 ms where nothing moved; there is no tap after it.
const LONG_PRESS_MS = 350
const STILL_PX = 10
export function watchLongPress() {
  let timer
  let at
  let pressed = false
  const stop = () => clearTimeout(timer)
  document.body.addEventListener('pointerdown', (event) => {
    stop()
    pressed = false
    at = { x: event.clientX, y: event.clientY }
    let target = event.target
    while (target && !target.__wxElement) target = target.parentNode
    if (!target) return
    timer = setTimeout(() => {
      pressed = true
      glass.triggerEvent(target.__wxElement, 'longpress', at, { originalEvent: event, bubbles: true, composed: true })
    }, LONG_PRESS_MS)
  }, true)
  document.body.addEventListener('pointermove', (event) => {
    if (at && Math.hypot(event.clientX - at.x, event.clientY - at.y) > STILL_PX) stop()
  }, true)
  for (const name of ['pointerup', 'pointercancel']) document.body.addEventListener(name, stop, true)
  for (const name of ['mouseup', 'touchend']) {
    addEventListener(name, (event) => { if (pressed) event.stopImmediatePropagation() }, true)
  }
}
