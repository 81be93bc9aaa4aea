/** Panel of emoji over the composer, or on a phone in the keyboard's place. */

import { $, make } from './dom.js'
import { text } from './text.js'

/** Kept of those used last. */
const RECENT = 24

/** Where there is a keyboard on the screen, it comes with the focus, and the panel has its room. */
const touch = matchMedia('(pointer: coarse)')
const panel = $('#emoji-panel')
const groups = $('.groups', panel)
const erase = $('.erase', panel)
const opener = $('#emoji')
/** EMOJI_GROUPS comes from the script emoji.js. */
const known = new Set(EMOJI_GROUPS.flatMap(({ emoji }) => emoji))

export class EmojiPanel {
  #store
  #recent
  #field

  /** `field` is what is written in. `pick` is given the emoji that was chosen, and `eraseLast` is what the panel's key does. */
  constructor(store, { field, pick, eraseLast }) {
    this.#store = store
    this.#field = field
    const stored = store.load('emoji', [])
    this.#recent = Array.isArray(stored) ? stored.filter(each => known.has(each)).slice(0, RECENT) : []
    // A click of the keyboard has no place.
    opener.onclick = ({ detail }) => this.isOpen ? this.#leave() : this.#open(detail === 0)
    erase.onclick = eraseLast
    groups.onclick = ({ target }) => {
      if (!target.dataset.emoji) return
      this.#stopAt(target)
      this.#use(target.dataset.emoji)
      pick(target.dataset.emoji)
    }
    // A pointer leaves the caret where it is.
    panel.onmousedown = event => { if (event.target.closest('button')) event.preventDefault() }
    field.addEventListener('focus', () => { if (touch.matches) this.close() })
    panel.onkeydown = event => this.#key(event, eraseLast)
    document.addEventListener('keydown', event => {
      if (event.key !== 'Escape' || !this.isOpen || event.isComposing) return
      event.preventDefault()
      this.#leave()
    }, true)
    for (const type of ['pointerdown', 'focusin']) {
      document.addEventListener(type, ({ target }) => { if (this.isOpen && !target.closest('#emoji-panel, #composer')) this.close() })
    }
  }

  get isOpen() { return !panel.hidden }

  close() {
    panel.hidden = true
    opener.setAttribute('aria-expanded', 'false')
  }

  #open(isByKeyboard) {
    this.#draw()
    panel.hidden = false
    opener.setAttribute('aria-expanded', 'true')
    groups.scrollTop = 0
    if (isByKeyboard) $('[tabindex="0"]', groups).focus()
    else if (touch.matches) this.#field.blur()
    else this.#field.focus()
  }

  #leave() {
    this.close()
    this.#field.focus()
  }

  /** Those used last stand where they did until the panel is opened anew: nothing moves under a finger. */
  #draw() {
    const all = [...(this.#recent.length ? [{ name: 'recent', emoji: this.#recent }] : []), ...EMOJI_GROUPS]
    groups.replaceChildren(...all.map(({ name, emoji }) => make('section', { role: 'group', 'aria-labelledby': `emoji-${name}` },
      make('h3', { id: `emoji-${name}`, textContent: text(`emoji_${name}`) }),
      make('div', { className: 'grid' }, ...emoji.map(each => make('button', { type: 'button', className: 'plain', tabIndex: -1, 'data-emoji': each, textContent: each }))),
    )))
    $('button', groups).tabIndex = 0
  }

  #use(emoji) {
    this.#recent = [emoji, ...this.#recent.filter(each => each !== emoji)].slice(0, RECENT)
    this.#store.save('emoji', this.#recent)
  }

  /** The one stop of the Tab key. */
  #stopAt(button) {
    $('[tabindex="0"]', groups).tabIndex = -1
    button.tabIndex = 0
  }

  #key(event, eraseLast) {
    const { key } = event
    if (key === 'Backspace') {
      event.preventDefault()
      return eraseLast()
    }
    if (!event.target.dataset.emoji) return
    const next = beside(event.target, key)
    if (!next) return
    event.preventDefault()
    this.#stopAt(next)
    next.focus()
  }
}

/** Where an arrow key leads from an emoji, by what is on the screen; undefined for other keys, and at the edges. */
function beside(button, key) {
  const all = [...groups.querySelectorAll('[data-emoji]')]
  const at = all.indexOf(button)
  const along = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: all.length - 1 }[key]
  if (along !== undefined) return all[along]
  if (key !== 'ArrowUp' && key !== 'ArrowDown') return undefined
  const here = button.getBoundingClientRect()
  const boxes = all.map(each => ({ each, box: each.getBoundingClientRect() }))
  const isBeyond = key === 'ArrowUp' ? ({ box }) => box.top < here.top - 1 : ({ box }) => box.top > here.top + 1
  const beyond = boxes.filter(isBeyond)
  const row = key === 'ArrowUp' ? beyond.at(-1)?.box.top : beyond[0]?.box.top
  const distance = ({ box }) => Math.abs(box.left - here.left)
  return beyond.filter(({ box }) => Math.abs(box.top - row) < 1).sort((one, other) => distance(one) - distance(other))[0]?.each
}
