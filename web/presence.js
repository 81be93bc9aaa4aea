/** Whether the other one is there, in the bar of the room. */

import { $ } from './dom.js'
import { text } from './text.js'
import { ago } from './time.js'

/** So often "seen 10 minutes ago" grows older. */
const REFRESH_MS = 60_000

const bar = $('#presence')

export class PresenceBar {
  #chat
  #peer = ''

  constructor(chat) {
    this.#chat = chat
    chat.on('presence', ({ peers }) => { if (peers.includes(this.#peer)) this.#draw() })
    // Who has written for the first time may be seen from now on.
    chat.on('incoming', ({ message }) => {
      if (message.peer === this.#peer && chat.messages(message.peer).filter(({ mine }) => !mine).length === 1) chat.watchPresence([message.peer])
    })
    setInterval(() => this.#draw(), REFRESH_MS)
  }

  /** Shows how it is with `peer`; nothing where that is empty. */
  show(peer) {
    if (peer === this.#peer) return
    this.#peer = peer
    this.#chat.watchPresence(peer ? [peer] : [])
    this.#draw()
  }

  #draw() {
    const { state, last_seen } = this.#chat.presence(this.#peer)
    const words = state === 'foreground' ? text('online') : state === 'background' ? text('in_background') : last_seen ? ago(last_seen) : ''
    bar.dataset.state = state
    if (bar.textContent !== words) bar.textContent = words
  }
}
