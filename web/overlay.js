/** What lies over the page: a menu, dialogs, a word in passing. The platform's own `popover` and `<dialog>` keep focus and Escape. */

import { $, make } from './dom.js'

const EDGE = 8
const TOAST_MS = 3000

/** A menu at a point. `items`: `{ label, run }`. */
export function showMenu({ x, y }, items) {
  const menu = $('#menu')
  menu.replaceChildren(...items.map(({ label, run, danger }) => make('button', {
    type: 'button', role: 'menuitem', tabIndex: -1, textContent: label, className: danger ? 'danger' : '',
    onclick: () => { menu.hidePopover(); run() },
  })))
  menu.hidePopover()
  menu.showPopover()
  const { width, height } = menu.getBoundingClientRect()
  menu.style.left = `${Math.max(EDGE, Math.min(x, innerWidth - width - EDGE))}px`
  menu.style.top = `${Math.max(EDGE, Math.min(y, innerHeight - height - EDGE))}px`
  menu.firstElementChild.focus()
}

$('#menu').onkeydown = event => {
  const buttons = [...event.currentTarget.children]
  const next = step(event.key, buttons.indexOf(document.activeElement), buttons.length)
  if (event.key === 'Tab') event.currentTarget.hidePopover()
  if (next === undefined) return
  event.preventDefault()
  buttons[next].focus()
}

/** Where arrow keys lead in a list of `count`; nothing for other keys. */
export function step(key, at, count) {
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: count - 1 }[key]
  return to === undefined ? undefined : Math.max(0, Math.min(to, count - 1))
}

const LONG_PRESS_MS = 450

/** Right click, the menu key, or a long press. `show` is given the element and where. */
export function onContextMenu(container, selector, show) {
  // Asked before the click: some systems select the word that is clicked.
  let selected = false
  container.addEventListener('pointerdown', () => { selected = !getSelection().isCollapsed })
  container.addEventListener('contextmenu', event => {
    const element = event.target.closest(selector)
    // Selected text and links in it have the browser's own menu.
    if (!element || selected || event.target.closest('.bubble a')) return
    event.preventDefault()
    if (event.pointerType === 'touch') return
    // The menu key has no place of its own.
    const box = element.getBoundingClientRect()
    show(element, event.clientX || event.clientY ? { x: event.clientX, y: event.clientY } : { x: box.left + 24, y: box.top + 24 })
  })

  // Shown when the finger is lifted: a popover that opens under it would be closed by that. Not all touch screens tell of a context menu.
  let press
  container.addEventListener('touchstart', event => { press = event }, { passive: true })
  for (const type of ['touchmove', 'touchcancel']) container.addEventListener(type, () => { press = undefined }, { passive: true })
  container.addEventListener('touchend', event => {
    const element = event.target.closest(selector)
    if (!element || !press || event.timeStamp - press.timeStamp < LONG_PRESS_MS) return
    event.preventDefault()
    show(element, { x: press.touches[0].clientX, y: press.touches[0].clientY })
  })
}

/** Opens a dialog. Its buttons with `data-close` close it; `submit` is called for its form, and may leave it open. */
export function openDialog(dialog, submit) {
  $('form', dialog).onsubmit = event => {
    event.preventDefault()
    submit()
  }
  for (const button of dialog.querySelectorAll('[data-close]')) button.onclick = () => dialog.close()
  // A click beside it falls on the dialog itself.
  dialog.onpointerdown = event => { if (event.target === dialog) dialog.close() }
  dialog.showModal()
}

/** Asks before `run`. The answer that changes nothing comes first, and has the focus. */
export function confirm({ title, detail = '', action, isDanger = true }, run) {
  const dialog = $('#confirm-dialog')
  $('h2', dialog).textContent = title
  $('p', dialog).textContent = detail
  const yes = $('button:not([data-close])', dialog)
  yes.textContent = action
  yes.className = isDanger ? 'danger' : 'primary'
  openDialog(dialog, () => {
    dialog.close()
    run()
  })
}

/** Where something must be to be seen and read out: beside an open dialog it lies under a veil. Those that open over others come later in the page. */
export const topmost = () => [...document.querySelectorAll('dialog:modal')].at(-1) ?? document.body

let toastTimer
export function toast(words) {
  const place = $('#toast')
  const parent = topmost()
  if (place.parentElement !== parent) parent.append(place)
  place.textContent = words
  clearTimeout(toastTimer)
  toastTimer = setTimeout(() => { place.textContent = '' }, TOAST_MS)
}
