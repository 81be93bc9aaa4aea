/** Somebody's card, and what can be done about them. */

import { avatar, nameOf } from './avatar.js'
import { copy } from './clipboard.js'
import { $, make } from './dom.js'
import { confirm, openDialog, toast } from './overlay.js'
import { explain, explainPin, text } from './text.js'

const BLOCKS_PAGE_SIZE = 100

const dialog = $('#card-dialog')
const rows = $('.cells', dialog)
const problem = $('.problem', dialog)

export class Card {
  #chat
  #peer = ''
  /** Undefined until the server has said it. */
  #isBlocked = undefined

  constructor(chat) {
    this.#chat = chat
    const drawn = () => { if (dialog.open) this.#draw() }
    for (const event of ['users', 'conversations']) chat.on(event, drawn)
    chat.on('state', ({ state }) => { if (dialog.open && state === 'online' && this.#isBlocked === undefined) this.#ask(this.#peer) })
  }

  show(peer) {
    this.#peer = peer
    this.#isBlocked = undefined
    problem.textContent = ''
    this.#draw()
    openDialog(dialog, () => dialog.close())
    this.#ask(peer)
  }

  async #ask(peer) {
    try {
      const isBlocked = await this.#findBlock(peer)
      if (peer !== this.#peer) return
      this.#isBlocked = isBlocked
      problem.textContent = ''
      this.#draw()
    } catch (error) {
      if (peer === this.#peer) problem.textContent = explain(error)
    }
  }

  async #findBlock(peer) {
    for (let cursor = ''; ;) {
      const page = await this.#chat.call('GET', `/v1/blocks?limit=${BLOCKS_PAGE_SIZE}${cursor && `&cursor=${encodeURIComponent(cursor)}`}`)
      if (page.blocks.some(({ openid }) => openid === peer)) return true
      cursor = page.next_cursor
      if (!cursor) return false
    }
  }

  #draw() {
    const user = this.#chat.user(this.#peer)
    $('.picture', dialog).replaceChildren(avatar(user))
    $('#card-name').textContent = nameOf(user)
    $('code', dialog).textContent = user.openid
    // Drawn anew with every change, so the focus goes to the row of the same name.
    const focused = document.activeElement?.dataset.action
    rows.replaceChildren(...this.#actions().map(({ name, label, isOn, isDanger = false, isReady = true, run }) => make('button', {
      type: 'button', 'data-action': name, className: isDanger ? 'danger' : '', textContent: label, disabled: !isReady, onclick: run,
      ...(isOn !== undefined && { role: 'switch', 'aria-checked': String(isOn) }),
    })))
    if (focused) $(`[data-action=${focused}]`, rows)?.focus()
  }

  /** One row each. A report to those who run the server is one more, above the block, where the client has a call for it. */
  #actions() {
    const peer = this.#peer
    const conversation = this.#chat.conversations().find(each => each.peer === peer)
    const isBlocked = this.#isBlocked
    return [
      { name: 'copy', label: text('copy_openid'), run: () => copy(peer, text('openid_copied')) },
      ...(conversation ? [
        { name: 'pin', label: text('pin'), isOn: conversation.pinned, run: () => this.#try(this.#chat.setPinned(peer, !conversation.pinned), explainPin) },
        { name: 'mute', label: text('mute'), isOn: conversation.muted, run: () => this.#try(this.#chat.setMuted(peer, !conversation.muted)) },
      ] : []),
      { name: 'block', label: text(isBlocked ? 'unblock' : 'block'), isDanger: !isBlocked, isReady: isBlocked !== undefined, run: () => this.#changeBlock() },
    ]
  }

  #changeBlock() {
    if (this.#isBlocked) return this.#setBlock(false)
    const detail = text('block_text', { name: nameOf(this.#chat.user(this.#peer)) })
    confirm({ title: text('block_title'), detail, action: text('block') }, () => this.#setBlock(true))
  }

  #setBlock(isBlocked) {
    const peer = this.#peer
    return this.#try(this.#chat.call(isBlocked ? 'PUT' : 'DELETE', `/v1/blocks/${peer}`).then(() => {
      if (peer !== this.#peer) return
      this.#isBlocked = isBlocked
      this.#draw()
      toast(text(isBlocked ? 'blocked' : 'unblocked'))
    }))
  }

  async #try(change, explained = explain) {
    problem.textContent = ''
    await change.catch(error => { problem.textContent = explained(error) })
  }
}
