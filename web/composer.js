/** Field in which messages are written. */

import { $ } from './dom.js'
import { EmojiPanel } from './emoji-panel.js'
import { toast } from './overlay.js'
import { explain, text } from './text.js'

const form = $('#composer')
const field = $('textarea', form)
const button = $('.primary', form)
/** No character that is seen as one has more code units. */
const LONGEST_CHARACTER = 64

export class Composer {
  #chat
  #drafts
  #panel
  #peer = ''
  #width = 0

  constructor(chat, drafts, store, sent) {
    this.#chat = chat
    this.#drafts = drafts
    this.#panel = new EmojiPanel(store, {
      field,
      pick: emoji => this.#replace(emoji, field.selectionStart, field.selectionEnd),
      eraseLast: () => this.#erase(),
    })
    field.oninput = () => {
      this.#fit()
      if (!drafts.set(this.#peer, field.value)) toast(text('draft_not_kept'))
      if (field.value) chat.typing(this.#peer)
    }
    field.onkeydown = event => {
      // While an input method has the word, Enter belongs to it. 229: Safari tells of the end of the word before this key.
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return
      event.preventDefault()
      form.requestSubmit()
    }
    form.onsubmit = event => {
      event.preventDefault()
      this.#send(sent)
    }
    // In another width the text has other lines.
    new ResizeObserver(([{ contentRect }]) => {
      if (contentRect.width !== this.#width) this.#fit()
      this.#width = contentRect.width
    }).observe(form)
  }

  show(peer) {
    this.#peer = peer
    this.#panel.close()
    field.value = this.#drafts.get(peer)
    this.#fit()
  }

  focus() {
    field.focus()
  }

  /** Puts words in at the caret; what is written or selected stays. */
  insert(words) {
    this.#replace(words, field.selectionEnd, field.selectionEnd)
    field.focus()
  }

  #replace(words, from, to) {
    field.setRangeText(words, from, to, 'end')
    field.oninput()
  }

  /** What is selected, or else the character before the caret, of however many code points. */
  #erase() {
    const { selectionStart, selectionEnd } = field
    if (selectionStart !== selectionEnd) return this.#replace('', selectionStart, selectionEnd)
    const before = field.value.slice(Math.max(0, selectionStart - LONGEST_CHARACTER), selectionStart)
    const last = [...new Intl.Segmenter().segment(before)].at(-1)?.segment ?? ''
    if (last) this.#replace('', selectionStart - last.length, selectionStart)
  }

  #send(sent) {
    const words = field.value.trim()
    if (!words) return
    try {
      this.#chat.send(this.#peer, words)
    } catch (error) {
      return toast(explain(error))
    }
    field.value = ''
    this.#drafts.set(this.#peer, '')
    this.#fit()
    if (!this.#panel.isOpen) field.focus()
    sent()
  }

  /** As high as its text; app.css says how high at most. */
  #fit() {
    button.disabled = !field.value.trim()
    // The form keeps its height meanwhile: the messages beside it would scroll.
    form.style.height = `${form.offsetHeight}px`
    field.style.height = 'auto'
    field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight}px`
    form.style.height = ''
  }
}
