/**
 * The chat that is on screen.
 *
 * However long it is, the page holds some two hundred messages of it: those around the one in the middle of the screen. So a new message costs
 * the same in a long chat as in a short one.
 */

import { nameOf } from './avatar.js'
import { $, make, place } from './dom.js'
import { drawMessage, recalled, surroundings } from './message.js'
import { copy, onContextMenu, showMenu, step, toast } from './overlay.js'
import { explain, summary, text } from './text.js'

/** Messages in the page on each side of the one in the middle. */
const AROUND = 100
/** How far the middle may move before the page is drawn around the new one. */
const SLACK = 40
/** Pixels: as good as at the end. */
const NEAR = 40

const log = $('#log')
const list = $('#messages')
const newer = $('#newer')
const older = { row: $('#older'), again: $('#older button'), loading: $('#older .spinner') }

export class Room {
  #chat
  #peer = ''
  /** By the key of the message: its element, and how it was drawn. */
  #rows = new Map()
  /** The key of the message in the middle; null while the newest is in sight, and then the page follows what comes. */
  #middle = null
  /** The newest that was in sight, to count those that came since. */
  #seen = 0
  /** Where it was scrolled to, to tell a reader who scrolls up from a window that became smaller. */
  #top = 0
  #loading = false

  constructor(chat) {
    this.#chat = chat
    chat.on('messages', ({ peer }) => { if (peer === this.#peer) this.#draw() })
    chat.on('conversations', () => this.#drawName())
    chat.on('users', ({ openids }) => {
      if (!openids.includes(this.#peer) && !openids.includes(chat.openid)) return
      this.#drawName()
      this.#draw()
    })
    chat.on('state', ({ state }) => { if (state === 'online' && !older.again.hidden) this.#again() })
    chat.on('incoming', ({ message }) => this.#announce(message))
    log.onscroll = () => this.#scrolled()
    log.onkeydown = event => this.#key(event)
    older.again.onclick = () => this.#again()
    older.again.textContent = text('load_again')
    newer.onclick = () => this.toNewest()
    onContextMenu(list, '.row', (row, at) => this.#menu(row, at))
    // The composer grows, the keyboard comes, the window changes: the newest stays in sight.
    new ResizeObserver(() => {
      if (this.#middle === null) this.#toEnd()
      else this.#scrolled()
    }).observe(log)
  }

  get peer() { return this.#peer }

  /** Shows the chat with `peer`; none where it is empty. */
  show(peer) {
    if (peer === this.#peer) return
    this.#peer = peer
    this.#rows.clear()
    list.replaceChildren()
    older.again.hidden = true
    older.loading.hidden = false
    this.#middle = null
    this.#top = 0
    this.#loading = false
    if (!peer) return this.#chat.leave()
    this.#drawName()
    this.#load(() => this.#chat.open(peer))
    this.#draw()
  }

  toNewest() {
    this.#middle = null
    // Wherever it is scrolled to.
    this.#top = 0
    this.#draw()
  }

  focus() {
    log.focus()
  }

  #drawName() {
    if (!this.#peer) return
    const typing = this.#chat.conversations().find(({ peer }) => peer === this.#peer)?.typing
    const name = nameOf(this.#chat.user(this.#peer))
    $('#room h2 bdi').textContent = typing ? text('typing') : name
    log.setAttribute('aria-label', name)
  }

  #draw() {
    if (!this.#peer) return
    const all = this.#chat.messages(this.#peer)
    if (this.#middle === null && this.#hasLeftEnd()) this.#middle = this.#inMiddle().dataset.key
    let middle = this.#middle === null ? -1 : all.findIndex(({ key }) => key === this.#middle)
    if (middle < 0) {
      this.#middle = null
      middle = all.length - 1
    }
    const from = Math.max(0, middle - AROUND)
    const to = Math.min(all.length, middle + AROUND + 1)
    const kept = this.#middle === null ? undefined : this.#inMiddle()
    // Its foot: over its head there may be a time, and that goes when a message comes before it.
    const bottom = kept?.getBoundingClientRect().bottom
    const awaited = !all.length && (this.#loading || !older.again.hidden)
    older.row.hidden = from > 0 || !(awaited || this.#chat.hasOlder(this.#peer))
    place(list, this.#drawRows(all, from, to))
    if (this.#middle === null) this.#toEnd()
    else if (kept?.isConnected) log.scrollTop += kept.getBoundingClientRect().bottom - bottom
    this.#drawPill(all)
    this.#wantOlder()
  }

  /** The reader has scrolled up, and the event that tells it has not come yet. */
  #hasLeftEnd() {
    return log.scrollTop < this.#top && below() >= NEAR
  }

  #toEnd() {
    log.scrollTop = log.scrollHeight
    this.#top = log.scrollTop
  }

  #drawRows(all, from, to) {
    const users = [this.#chat.user(this.#peer), this.#chat.me()]
    const rows = new Map()
    let next = nextOwn(all, to)
    for (let i = to - 1; i >= from; i--) {
      const message = all[i]
      const row = this.#rows.get(message.key) ?? { element: make('div', { tabIndex: -1, 'data-key': message.key }) }
      const around = surroundings(message, all[i - 1], next, users[Number(message.mine)])
      row.drawn = drawMessage(row.element, message, around, row.drawn, () => this.#chat.retry(message.peer, message.client_msg_id))
      rows.set(message.key, row)
      if (message.mine && !message.recalled) next = message
    }
    this.#rows = rows
    return [...rows.values()].map(row => row.element).reverse()
  }

  #drawPill(all) {
    const last = all.findLast(({ seq }) => seq > 0)?.seq ?? 0
    if (this.#middle === null) this.#seen = last
    const missed = this.#middle === null ? 0 : all.filter(({ seq, mine, recalled }) => seq > this.#seen && !mine && !recalled).length
    newer.hidden = missed === 0
    newer.textContent = missed ? text('new_messages', { n: missed }) : ''
  }

  /** The row in the middle of the screen. Rows lie one below the other, so halving finds it. */
  #inMiddle() {
    const rows = list.children
    const box = log.getBoundingClientRect()
    const line = box.top + box.height / 2
    let from = 0
    let to = rows.length - 1
    while (from < to) {
      const half = (from + to) >> 1
      if (rows[half].getBoundingClientRect().bottom < line) from = half + 1
      else to = half
    }
    return rows[from]
  }

  #scrolled() {
    const key = this.#inMiddle()?.dataset.key
    if (!key) return
    const all = this.#chat.messages(this.#peer)
    const last = all.at(-1)
    const up = log.scrollTop < this.#top
    this.#top = log.scrollTop
    const atEnd = below() < NEAR
    const before = this.#middle
    if (atEnd && last && this.#rows.has(last.key)) this.#middle = null
    else if (before === null ? up : Math.abs(indexOf(all, key) - indexOf(all, before)) > SLACK) this.#middle = key
    if (this.#middle !== before && !(before === null && all.length <= AROUND)) this.#draw()
    else {
      this.#drawPill(all)
      this.#wantOlder()
    }
  }

  /** Older messages are fetched well before the first one comes into sight. */
  #wantOlder() {
    if (older.row.hidden || !older.again.hidden || log.scrollTop > 2 * log.clientHeight) return
    this.#load(() => this.#chat.loadOlder(this.#peer))
  }

  async #load(fetch) {
    if (this.#loading) return
    const peer = this.#peer
    this.#loading = true
    try {
      await fetch()
    } catch {
      if (peer !== this.#peer) return
      older.again.hidden = false
      older.loading.hidden = true
      older.row.hidden = false
      return
    } finally {
      if (peer === this.#peer) this.#loading = false
    }
    if (peer === this.#peer) this.#draw()
  }

  #again() {
    older.again.hidden = true
    older.loading.hidden = false
    this.#load(() => this.#chat.messages(this.#peer).length ? this.#chat.loadOlder(this.#peer) : this.#chat.open(this.#peer))
  }

  /** Only what comes live, and into the open chat: for screen readers. */
  #announce(message) {
    if (message.peer !== this.#peer) return
    const name = nameOf(this.#chat.user(message.peer))
    $('#announcer').textContent = message.recalled ? recalled(message, this.#chat.user(message.peer)) : text('says', { name }) + summary(message)
  }

  #message(row) {
    return this.#chat.messages(this.#peer).find(({ key }) => key === row.dataset.key)
  }

  #menu(row, at) {
    const message = this.#message(row)
    if (!message || message.recalled) return
    const peer = this.#peer
    const items = [{ label: text('copy'), run: () => copy(summary(message)) }]
    if (message.state === 'failed') {
      items.push({ label: text('retry'), run: () => this.#chat.retry(peer, message.client_msg_id) })
      items.push({ label: text('discard'), run: () => this.#chat.discard(peer, message.client_msg_id), danger: true })
    } else if (message.mine && message.seq) {
      items.push({ label: text('recall'), run: () => this.#chat.recall(peer, message.seq).catch(error => toast(explain(error))) })
    }
    showMenu(at, items)
  }

  /** The log is one stop of the Tab key; arrows go from message to message in it. */
  #key(event) {
    const rows = [...list.children]
    const at = rows.indexOf(document.activeElement)
    if (at >= 0 && (event.key === 'Enter' || event.key === ' ')) {
      event.preventDefault()
      const box = $('.bubble', rows[at])?.getBoundingClientRect()
      if (box) this.#menu(rows[at], { x: box.left, y: box.bottom })
    } else if (at < 0 && event.key === 'ArrowUp' && rows.length && event.target === log) {
      event.preventDefault()
      rows.at(-1).focus()
    } else if (at >= 0) {
      const next = step(event.key, at, rows.length)
      if (next === undefined) return
      event.preventDefault()
      rows[next].focus()
    }
  }
}

/** Pixels of the log that lie below what is in sight. */
const below = () => log.scrollHeight - log.scrollTop - log.clientHeight

const indexOf = (all, key) => all.findIndex(message => message.key === key)

/** The first own message from `from` on that has a mark of its own. */
const nextOwn = (all, from) => all.slice(from).find(({ mine, recalled }) => mine && !recalled)
