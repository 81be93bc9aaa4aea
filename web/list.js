/** The conversations. One stop of the Tab key; arrows go from one to the next. */

import { avatar, nameOf } from './avatar.js'
import { $, icon, make, place } from './dom.js'
import { recalled } from './message.js'
import { confirm, onContextMenu, showMenu, step, toast } from './overlay.js'
import { explain, explainPin, summary, text } from './text.js'
import { shortTime } from './time.js'

const MINUTE = 60_000
const MAX_BADGE = 99
/** Rows to begin with, and further ones each time that the end comes near. */
const ROWS = 100

const list = $('#conversations')

export class List {
  #chat
  #drafts
  #showCard
  #rows = new Map()
  #open = ''
  /** Where the focus goes: what was open last. */
  #last = ''
  #shown = ROWS
  /** The frame that draws what was written since the last one; 0 where there is none. */
  #frame = 0

  constructor(chat, drafts, showCard) {
    this.#chat = chat
    this.#drafts = drafts
    this.#showCard = showCard
    drafts.onChange(() => this.#drawSoon())
    chat.on('conversations', () => this.#draw())
    chat.on('users', () => this.#draw())
    chat.on('state', () => this.#draw())
    list.onscroll = () => this.#scrolled()
    list.onkeydown = event => this.#key(event)
    onContextMenu(list, 'a', (link, at) => showMenu(at, this.actions(link.dataset.peer)))
    // "Yesterday" becomes so by itself.
    setInterval(() => this.#draw(), MINUTE)
    this.#draw()
  }

  /** Marks the one that is open. */
  show(peer) {
    this.#open = peer
    if (peer) this.#last = peer
    this.#draw()
  }

  focus() {
    const rows = [...list.children].map(row => row.firstElementChild)
    const row = rows.find(link => link.dataset.peer === this.#last) ?? rows[0] ?? $('#new-chat')
    row.focus()
  }

  /** What can be done with a chat, for a menu. */
  actions(peer) {
    const conversation = this.#chat.conversations().find(each => each.peer === peer)
    const card = { label: text('card'), run: () => this.#showCard(peer) }
    const remove = { label: text('delete_chat'), run: () => this.remove(peer), danger: true }
    if (!conversation) return [card, remove]
    const { muted, pinned } = conversation
    const pin = () => this.#chat.setPinned(peer, !pinned).catch(error => toast(explainPin(error)))
    const mute = () => this.#chat.setMuted(peer, !muted).catch(error => toast(explain(error)))
    return [card, { label: text(pinned ? 'unpin' : 'pin'), run: pin }, { label: text(muted ? 'unmute' : 'mute'), run: mute }, remove]
  }

  /** For good, so it asks. */
  remove(peer) {
    confirm({ title: text('delete_chat_title'), detail: text('delete_chat_text', { name: nameOf(this.#chat.user(peer)) }), action: text('delete') }, async () => {
      try {
        // What nobody sees would take one of the places for pinned chats.
        if (this.#chat.conversations().find(each => each.peer === peer)?.pinned) await this.#chat.setPinned(peer, false)
        await this.#chat.removeConversation(peer)
        this.#drafts.set(peer, '')
        this.#draw()
        if (peer === this.#open) location.hash = ''
        this.focus()
      } catch (error) {
        toast(explain(error))
      }
    })
  }

  /** Keys come faster than frames. */
  #drawSoon() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0
      this.#draw()
    })
  }

  #draw() {
    const conversations = this.#conversations().slice(0, this.#shown)
    const focused = document.activeElement
    const stop = conversations.find(({ peer }) => peer === this.#last)?.peer ?? conversations[0]?.peer
    const rows = new Map()
    for (const conversation of conversations) {
      const { peer } = conversation
      const row = this.#rows.get(peer) ?? { element: make('li', {}, make('a', { href: `#${peer}`, 'data-peer': peer, 'aria-keyshortcuts': 'Delete' })), drawn: '' }
      const link = row.element.firstElementChild
      const look = this.#look(conversation)
      const drawn = JSON.stringify(look)
      if (row.drawn !== drawn) drawRow(link, look)
      row.drawn = drawn
      link.tabIndex = peer === stop ? 0 : -1
      if (peer === this.#open) link.setAttribute('aria-current', 'page')
      else link.removeAttribute('aria-current')
      rows.set(peer, row)
    }
    this.#rows = rows
    place(list, [...rows.values()].map(row => row.element))
    // A row that moves up loses the focus on the way.
    if (focused?.isConnected && list.contains(focused)) focused.focus({ preventScroll: true })
    $('#no-conversations').hidden = conversations.length > 0 || this.#chat.state !== 'online'
  }

  /** The client's, and those in which nothing but a draft stands yet; those that are pinned first. */
  #conversations() {
    const known = this.#chat.conversations()
    const peers = new Set(known.map(({ peer }) => peer))
    const begun = this.#drafts.all().filter(({ peer }) => !peers.has(peer)).map(({ peer, at }) => ({ peer, unread: 0, muted: false, pinned: false, updated_at: at, typing: false }))
    return [...begun, ...known].sort((one, other) => other.pinned - one.pinned || other.updated_at - one.updated_at)
  }

  #look({ peer, last, unread, muted, pinned, updated_at, typing }) {
    const user = this.#chat.user(peer)
    // That of the open chat stands where it is written.
    const draft = peer === this.#open ? '' : this.#drafts.get(peer).trim()
    let words = draft
    if (last && !draft) words = last.recalled ? recalled(last, user) : summary(last)
    return {
      user,
      time: last || draft ? shortTime(updated_at) : '',
      words: typing ? text('typing') : words,
      typing,
      isDraft: Boolean(draft) && !typing,
      failed: last?.state === 'failed' && !draft,
      unread,
      muted,
      pinned,
    }
  }

  #scrolled() {
    if (list.children.length < this.#shown || list.scrollHeight - list.scrollTop > 2 * list.clientHeight) return
    this.#shown += ROWS
    this.#draw()
  }

  #key(event) {
    const links = [...list.children].map(row => row.firstElementChild)
    const at = links.indexOf(document.activeElement)
    if (at < 0) return
    const next = step(event.key, at, links.length)
    if (next !== undefined) links[next].focus()
    else if (event.key === 'Delete') this.remove(links[at].dataset.peer)
    else return
    event.preventDefault()
  }
}

function drawRow(link, { user, time, words, typing, isDraft, failed, unread, muted, pinned }) {
  link.classList.toggle('pinned', pinned)
  const picture = make('span', { className: 'picture' }, avatar(user))
  if (unread) {
    picture.append(make('span', { className: muted ? 'badge quiet' : 'badge', 'aria-hidden': 'true', textContent: unread > MAX_BADGE ? `${MAX_BADGE}+` : unread }))
  }
  const preview = make('span', { className: typing ? 'words typing' : 'words', dir: 'auto' })
  if (failed) preview.append(make('span', { className: 'failed', role: 'img', 'aria-label': text('failed'), textContent: '!' }), ' ')
  if (isDraft) preview.append(make('bdi', { className: 'draft', textContent: text('draft') }), ' ')
  preview.append(words)
  link.replaceChildren(
    picture,
    make('span', { className: 'head' },
      make('span', { className: 'name', dir: 'auto', textContent: nameOf(user) }),
      make('span', { className: 'time', textContent: time })),
    make('span', { className: 'foot' }, preview, ...(muted ? [icon('i-muted', text('muted'))] : [])),
    ...(unread ? [make('span', { className: 'unseen', textContent: text('unread', { n: unread }) })] : []),
    ...(pinned ? [make('span', { className: 'unseen', textContent: text('pinned') })] : []),
  )
}
