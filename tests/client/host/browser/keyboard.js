// A keyboard that covers the lower part of the page while a field has the focus. Its height is 0 until a test wants one.
import { emitter } from './tools.js'

const heights = emitter()
let wanted = 0

export const keyboard = {
  height: 0,
  onChange: heights.on,
  offChange: heights.off,
  want(height) { wanted = height },
  rise() { change(wanted) },
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
  heights.emit(height)
}
