/** Where messages are written. What was begun in a chat waits there while another one is open. */

import { $ } from './dom.js'
import { toast } from './overlay.js'
import { explain } from './text.js'

const form = $('#composer')
const field = $('textarea', form)
const button = $('button', form)

export class Composer {
  #chat
  #peer = ''
  #drafts = new Map()

  constructor(chat, sent) {
    this.#chat = chat
    field.oninput = () => {
      this.#fit()
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
  }

  show(peer) {
    this.#drafts.set(this.#peer, field.value)
    this.#peer = peer
    field.value = this.#drafts.get(peer) ?? ''
    this.#fit()
  }

  focus() {
    field.focus()
  }

  #send(sent) {
    if (!field.value.trim()) return
    try {
      this.#chat.send(this.#peer, field.value)
    } catch (error) {
      return toast(explain(error))
    }
    field.value = ''
    this.#fit()
    field.focus()
    sent()
  }

  /** As high as its text; app.css says how high at most. */
  #fit() {
    button.disabled = !field.value.trim()
    field.style.height = 'auto'
    field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight}px`
  }
}
