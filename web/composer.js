/** Where messages are written. */

import { $ } from './dom.js'
import { toast } from './overlay.js'
import { explain, text } from './text.js'

const form = $('#composer')
const field = $('textarea', form)
const button = $('button', form)

export class Composer {
  #chat
  #drafts
  #peer = ''
  #width = 0

  constructor(chat, drafts, sent) {
    this.#chat = chat
    this.#drafts = drafts
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
    field.value = this.#drafts.get(peer)
    this.#fit()
  }

  focus() {
    field.focus()
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
    field.focus()
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
