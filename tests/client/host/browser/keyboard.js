// A keyboard that covers the lower part of the page while a field has the focus. Its height is 0 until a test wants one.
import { settings } from './settings.js'
import { emitter } from './tools.js'

const heights = emitter()
let wanted = 0
let held = false

export const keyboard = {
  height: 0,
  want(height) { wanted = height },
  rise(hold) {
    held = hold
    change(wanted)
  },
  fall() { change(0) },
  hide() { document.activeElement?.blur() },
  watch(run) {
    heights.on(run)
    return () => heights.off(run)
  },
}

function change(height) {
  if (keyboard.height === height) return
  keyboard.height = height
  document.documentElement.style.setProperty('--keyboard', `${height}px`)
  if (height || !settings.keyboardFallsSilently) heights.emit(height)
}

// A browser makes a click of a touch, which falls on whatever the tap has put there meanwhile: a mini-program has taps only. A field is left by
// a tap elsewhere, unless it holds the keyboard.
addEventListener('touchend', (event) => {
  if (!event.target.closest('.wx-page') || event.target.matches('input, textarea')) return
  if (event.cancelable) event.preventDefault()
  if (!held) keyboard.hide()
}, { passive: false })
