/** Several messages chosen at once: a mark beside each, and a bar of what can be done with them in the composer's place. */

import { $, make } from './dom.js'
import { toast } from './overlay.js'
import { text } from './text.js'

const MOST = 100

const room = $('#room')
const bar = $('#selection')
const count = $('p', bar)
const buttons = $('.buttons', bar)
const composer = $('#composer')

export class Selection {
  #keys = new Set()
  #entries
  #changed
  #left
  /** What was chosen, or not any more, last. */
  #last = ''

  /** `entries` gives the buttons for what is chosen, by keys; `changed` is told of each change, and `left` the key where the user was at the end. */
  constructor({ entries, changed, left }) {
    this.#entries = entries
    this.#changed = changed
    this.#left = left
    $('button', bar).onclick = () => this.end()
    room.addEventListener('keydown', event => {
      if (event.key !== 'Escape' || !this.isOn) return
      // Escape in the room leads to the list.
      event.preventDefault()
      this.end()
    }, true)
  }

  get isOn() { return !bar.hidden }

  start(key) {
    this.#keys = new Set([key])
    this.#last = key
    this.#show(true)
  }

  end() {
    if (!this.isOn) return
    this.#keys.clear()
    this.#show(false)
    this.#left(this.#last)
  }

  toggle(key) {
    this.#last = key
    if (this.#keys.delete(key)) return this.#draw()
    if (this.#keys.size >= MOST) toast(text('select_most', { n: MOST }))
    else this.#keys.add(key)
    this.#draw()
  }

  /** Brings the marks of these rows to what is chosen; `gone` says which keys are no messages any more. */
  paint(rows, isThere) {
    if (!this.isOn) return
    const before = this.#keys.size
    for (const key of this.#keys) if (!isThere(key)) this.#keys.delete(key)
    for (const [key, { element }] of rows) {
      const box = $('.pick', element)
      if (box) box.checked = this.#keys.has(key)
    }
    if (this.#keys.size !== before) this.#drawBar()
  }

  #show(isOn) {
    bar.hidden = !isOn
    composer.hidden = isOn
    room.classList.toggle('selecting', isOn)
    this.#draw()
  }

  #draw() {
    this.#drawBar()
    this.#changed()
  }

  #drawBar() {
    count.textContent = this.isOn ? text('selected', { n: this.#keys.size }) : ''
    const isNone = !this.#keys.size
    buttons.replaceChildren(...this.#entries(this.#keys).map(({ label, run, danger }) => make('button', {
      type: 'button', textContent: label, className: danger ? 'danger' : '', disabled: isNone,
      onclick: () => { this.end(); run() },
    })))
  }
}
