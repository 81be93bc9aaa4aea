/**
 * The chat that is on screen.
 *
 * However long it is, the page holds some two hundred messages of it: those around the one in the middle of the screen. So a new message costs
 * the same in a long chat as in a short one.
 */

import { nameOf } from './avatar.js'
import { $, icon, make, place } from './dom.js'
import { copy, select } from './clipboard.js'
import { drawMessage, recalled, surroundings } from './message.js'
import { entriesOf, entriesOfSeveral } from './message-menu.js'
import { confirm, onContextMenu, showMenu, step, toast } from './overlay.js'
import { Recalled } from './recalled.js'
import { Selection } from './selection.js'
import { explain, summary, text } from './text.js'
import { Unread } from './unread.js'

/** Messages in the page on each side of the one in the middle. */
const AROUND = 100
/** How far the middle may move before the page is drawn around the new one. */
const SLACK = 40
/** Pixels: as good as at the end. */
const NEAR = 40
/** Pixels above the first new message, where the button has led to it. */
const ABOVE = 8
/** So long a page of history may be put off by the server, and is asked for again by itself. */
const PATIENCE_MS = 5000

const log = $('#log')
const list = $('#messages')
const newer = $('#newer')
const toFirstNew = $('#first-new')
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
  /** How large it was then. */
  #size = ''
  /** The row whose place on the screen is kept where the window changes, and how far down the log it is. */
  #anchor = undefined
  #loading = false
  /** Whether the client was told that this chat is open. */
  #isEntered = false
  /** Where the line of new messages is; undefined where there are none. */
  #unread = undefined
  /** The newest when the user looked away, or the connection was lost; undefined while they look. */
  #away = undefined

  #recalled = new Recalled(peer => { if (peer === this.#peer) this.#draw() })
  #selection = new Selection({
    entries: keys => entriesOfSeveral(this.#chat.messages(this.#peer).filter(({ key }) => keys.has(key)), this.#does),
    changed: () => this.#draw(),
    left: key => this.#rows.get(key)?.element.focus({ preventScroll: true }),
  })
  #writeAnew

  /** `showUser` shows who wrote a message; `writeAnew` is given the words of one that was recalled. */
  constructor(chat, { showUser, writeAnew }) {
    this.#chat = chat
    this.#writeAnew = writeAnew
    chat.on('messages', ({ peer }) => { if (peer === this.#peer) this.#draw() })
    chat.on('conversations', () => this.#drawName())
    chat.on('users', ({ openids }) => {
      if (!openids.includes(this.#peer) && !openids.includes(chat.openid)) return
      this.#drawName()
      this.#draw()
    })
    chat.on('state', ({ state }) => {
      if (this.#peer && !this.#isEntered && state !== 'connecting') this.#enter()
      if (state === 'online' && !older.again.hidden) this.#again()
      this.#lookedAway()
    })
    document.addEventListener('visibilitychange', () => this.#lookedAway())
    chat.on('incoming', ({ message }) => this.#announce(message))
    log.onscroll = () => this.#scrolled()
    log.onkeydown = event => this.#key(event)
    older.again.onclick = () => this.#again()
    older.again.textContent = text('load_again')
    newer.onclick = () => this.toNewest()
    toFirstNew.onclick = () => this.#toFirstNew()
    onContextMenu(list, '.row', (row, at) => this.#menu(row, at))
    list.onclick = event => this.#clicked(event, showUser)
    // The composer grows, the keyboard comes, a phone is folded, letters become larger: the newest stays in sight, and so does what is read.
    const resized = new ResizeObserver(() => this.#resized())
    for (const each of [log, list]) resized.observe(each)
  }

  get peer() { return this.#peer }

  /** Shows the chat with `peer`; none where it is empty. */
  show(peer) {
    if (peer === this.#peer) return
    this.#selection.end()
    this.#peer = peer
    this.#rows.clear()
    list.replaceChildren()
    older.again.hidden = true
    older.loading.hidden = false
    this.#middle = null
    this.#top = 0
    this.#anchor = undefined
    this.#loading = false
    this.#isEntered = false
    this.#unread = undefined
    this.#away = undefined
    this.#chat.leave()
    if (!peer) return
    this.#drawName()
    // What is unread is known when all that was missed is here, and forgotten when the chat is opened.
    if (this.#chat.state === 'connecting') this.#loading = true
    else this.#enter()
    this.#draw()
  }

  #enter() {
    const peer = this.#peer
    const conversation = this.#chat.conversations().find(each => each.peer === peer)
    const newest = newestOf(this.#chat.messages(peer))
    if (conversation?.unread) this.#unread = new Unread({ after: conversation.read_seq, newest, count: conversation.unread })
    this.#isEntered = true
    this.#loading = false
    this.#load(() => this.#chat.open(peer))
    this.#lookedAway()
    this.#draw()
  }

  /** What comes while nobody looks, or while there is no connection, is new when the user is back. */
  #lookedAway() {
    if (!this.#isEntered) return
    const isAway = document.hidden || this.#chat.state !== 'online'
    const all = this.#chat.messages(this.#peer)
    if (isAway) {
      this.#away ??= newestOf(all)
    } else if (this.#away !== undefined) {
      const after = this.#away
      this.#away = undefined
      const count = all.filter(({ mine, recalled, seq }) => !mine && !recalled && seq > after).length
      if (!count) return
      this.#unread = new Unread({ after, newest: newestOf(all), count })
      this.#draw()
    }
  }

  toNewest() {
    this.#middle = null
    // Wherever it is scrolled to.
    this.#top = 0
    this.#draw()
  }

  /** The message with this key to the middle of the screen; false where it is not known. */
  reveal(key) {
    const message = this.#chat.messages(this.#peer).find(each => each.key === key)
    if (!message) return false
    this.#middle = key
    this.#draw()
    const { element } = this.#rows.get(key)
    const box = log.getBoundingClientRect()
    const row = element.getBoundingClientRect()
    log.scrollTop += row.top - box.top - Math.max(ABOVE, (box.height - row.height) / 2)
    element.focus({ preventScroll: true })
    element.dataset.revealed = ''
    element.onanimationend = ({ target }) => { if (target === element) delete element.dataset.revealed }
    this.#scrolled()
    return true
  }

  focus() {
    log.focus()
  }

  #drawName() {
    if (!this.#peer) return
    const typing = this.#chat.conversations().find(({ peer }) => peer === this.#peer)?.typing
    const name = nameOf(this.#chat.user(this.#peer))
    $('#who bdi').textContent = typing ? text('typing') : name
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
    this.#keepAnchor()
    this.#drawPills(all)
    this.#wantOlder()
  }

  /** The reader has scrolled up, and the event that tells it has not come yet. */
  #hasLeftEnd() {
    return !this.#hasOtherSize() && log.scrollTop < this.#top && below() >= NEAR
  }

  /** It is the browser that scrolls then, and not the reader. */
  #hasOtherSize() {
    return this.#size !== sizeOfLog()
  }

  #toEnd() {
    log.scrollTop = log.scrollHeight
    this.#top = log.scrollTop
    this.#size = sizeOfLog()
  }

  #drawRows(all, from, to) {
    const users = [this.#chat.user(this.#peer), this.#chat.me()]
    const rows = new Map()
    const firstNew = this.#firstNew(all).first
    let next = nextOwn(all, to)
    for (let i = to - 1; i >= from; i--) {
      const message = all[i]
      const row = this.#rows.get(message.key) ?? { element: make('div', { tabIndex: -1, 'data-key': message.key }) }
      const canEdit = this.#recalled.wordsOf(message) !== undefined
      const around = surroundings(message, all[i - 1], next, users[Number(message.mine)], { isFirstNew: message === firstNew, canEdit })
      row.drawn = drawMessage(row.element, message, around, row.drawn, () => this.#askToResend(message))
      rows.set(message.key, row)
      if (message.mine && !message.recalled) next = message
    }
    this.#rows = rows
    this.#selection.paint(rows, key => all.some(message => message.key === key && !message.recalled))
    return [...rows.values()].map(row => row.element).reverse()
  }

  #firstNew(all) {
    return this.#unread?.first(all, this.#chat.hasOlder(this.#peer)) ?? { isReached: true }
  }

  #drawPills(all) {
    this.#drawNewer(all)
    const { first, isReached } = this.#firstNew(all)
    const row = first && this.#rows.get(first.key)?.element
    const isInSight = row && row.getBoundingClientRect().top >= log.getBoundingClientRect().top
    if (this.#unread && (isInSight || isReached && !first)) this.#unread.isSeen = true
    toFirstNew.hidden = !this.#unread || this.#unread.isSeen
    const words = toFirstNew.hidden ? '' : text('unread_above', { n: this.#unread.count })
    if (!toFirstNew.disabled && toFirstNew.textContent !== words) toFirstNew.textContent = words
  }

  #drawNewer(all) {
    const last = all.findLast(({ seq }) => seq > 0)?.seq ?? 0
    if (this.#middle === null) this.#seen = last
    const missed = this.#middle === null ? 0 : all.filter(({ seq, mine, recalled }) => seq > this.#seen && !mine && !recalled).length
    const isFar = this.#middle !== null && (below() > log.clientHeight || !this.#rows.has(all.at(-1)?.key))
    newer.hidden = missed === 0 && !isFar
    newer.replaceChildren(...(newer.hidden ? [] : [icon('i-down', text('latest')), ...(missed ? [text('new_messages', { n: missed })] : [])]))
  }

  /** The line of new messages to the top of the screen, however far up it is. */
  async #toFirstNew() {
    const unread = this.#unread
    const peer = this.#peer
    const isStill = () => unread === this.#unread && peer === this.#peer
    toFirstNew.disabled = true
    toFirstNew.prepend(make('span', { className: 'spinner', role: 'img', 'aria-label': text('loading') }))
    try {
      while (isStill() && !this.#firstNew(this.#chat.messages(peer)).isReached) await this.#loadPatiently(peer)
    } catch (error) {
      if (isStill()) toast(explain(error))
      return
    } finally {
      toFirstNew.disabled = false
      toFirstNew.replaceChildren()
      if (this.#peer) this.#drawPills(this.#chat.messages(this.#peer))
    }
    if (!isStill()) return
    const { first } = this.#firstNew(this.#chat.messages(peer))
    unread.isSeen = true
    if (!first) return this.#draw()
    this.#middle = first.key
    this.#draw()
    const { element } = this.#rows.get(first.key)
    log.scrollTop += element.getBoundingClientRect().top - log.getBoundingClientRect().top - ABOVE
    element.focus({ preventScroll: true })
    this.#scrolled()
  }

  /** Whoever has missed thousands asks for more pages than the server answers at once. */
  async #loadPatiently(peer) {
    try {
      await this.#chat.loadOlder(peer)
    } catch (error) {
      if (error.word !== 'rate_limited' || !(error.retry_after_ms <= PATIENCE_MS)) throw error
      await new Promise(resolve => setTimeout(resolve, error.retry_after_ms))
    }
  }

  #resized() {
    if (!this.#peer) return
    if (this.#middle === null) {
      if (!this.#hasLeftEnd()) this.#toEnd()
      return
    }
    this.#scrolled()
  }

  /** Brings what is read back to where it was. */
  #toAnchor() {
    if (!this.#anchor?.row.isConnected) return
    log.scrollTop += this.#anchor.row.getBoundingClientRect().top - log.getBoundingClientRect().top - this.#anchor.top
  }

  #keepAnchor() {
    this.#size = sizeOfLog()
    const row = this.#inMiddle()
    this.#anchor = row && { row, top: row.getBoundingClientRect().top - log.getBoundingClientRect().top }
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
    // The event of an earlier scrolling may come before the observer of sizes.
    if (this.#hasOtherSize()) {
      if (this.#middle === null) this.#toEnd()
      else this.#toAnchor()
    }
    const key = this.#inMiddle()?.dataset.key
    if (!key) return
    const all = this.#chat.messages(this.#peer)
    const last = all.at(-1)
    const up = log.scrollTop < this.#top
    this.#top = log.scrollTop
    this.#keepAnchor()
    const atEnd = below() < NEAR
    const before = this.#middle
    if (atEnd && last && this.#rows.has(last.key)) this.#middle = null
    else if (before === null ? up : Math.abs(indexOf(all, key) - indexOf(all, before)) > SLACK) this.#middle = key
    if (this.#middle !== before && !(before === null && all.length <= AROUND)) this.#draw()
    else {
      this.#drawPills(all)
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
    if (!message || message.recalled || this.#selection.isOn) return
    showMenu(at, entriesOf(message, this.#does))
  }

  /** By message-menu.js, which says when. */
  #does = {
    copy: message => copy(summary(message)),
    select: message => select(summary(message)),
    cancel: ({ peer, client_msg_id }) => {
      // The menu may be older than the ack.
      if (!this.#chat.cancel(peer, client_msg_id)) toast(text('cancel_too_late'))
    },
    retry: ({ peer, client_msg_id }) => this.#chat.retry(peer, client_msg_id),
    discard: ({ peer, client_msg_id }) => this.#chat.discard(peer, client_msg_id),
    recall: message => this.#recalled.keep(message, () => this.#chat.recall(message.peer, message.seq)).catch(error => toast(explain(error))),
    selectSeveral: ({ key }) => {
      this.#selection.start(key)
      $('.pick', this.#rows.get(key)?.element)?.focus({ preventScroll: true })
    },
    copySeveral: messages => copy(messages.length === 1 ? summary(messages[0]) : messages.map(message => `${this.#author(message)}: ${summary(message)}`).join('\n')),
  }

  #author({ mine, peer }) {
    return nameOf(mine ? this.#chat.me() : this.#chat.user(peer))
  }

  #clicked(event, showUser) {
    const row = event.target.closest('.row')
    if (!row) return
    if (this.#selection.isOn) {
      // The mark shows what is chosen, and that may be no more than so many.
      if (!event.target.matches('.pick')) event.preventDefault()
      const message = this.#message(row)
      if (message && !message.recalled) this.#selection.toggle(message.key)
      return
    }
    const opener = event.target.closest('.open-menu')
    if (opener) {
      const box = opener.getBoundingClientRect()
      this.#menu(row, { x: box.left, y: box.bottom })
    } else if (event.target.closest('.line > .avatar')) {
      showUser(row.matches('.mine') ? this.#chat.openid : this.#peer)
    } else if (event.target.closest('.re-edit')) {
      this.#editAnew(row)
    }
  }

  #editAnew(row) {
    const words = this.#recalled.wordsOf(this.#message(row) ?? {})
    if (words !== undefined) this.#writeAnew(words)
  }

  #askToResend(message) {
    const detail = message.error ? explain(message.error) : ''
    confirm({ title: text('retry_title'), detail, action: text('retry'), isDanger: false }, () => this.#does.retry(message))
  }

  /** The log is one stop of the Tab key; arrows go from message to message in it. */
  #key(event) {
    const rows = [...list.children]
    const at = rows.findIndex(row => row === document.activeElement || row.contains(document.activeElement) && document.activeElement.matches('.pick'))
    const isPress = event.key === 'Enter' || event.key === ' '
    if (at >= 0 && isPress && this.#selection.isOn) {
      event.preventDefault()
      $('.pick', rows[at])?.click()
    } else if (at >= 0 && isPress) {
      event.preventDefault()
      const box = $('.bubble', rows[at])?.getBoundingClientRect()
      if (box) this.#menu(rows[at], { x: box.left, y: box.bottom })
      else this.#editAnew(rows[at])
    } else if (at < 0 && event.key === 'ArrowUp' && rows.length && event.target === log) {
      event.preventDefault()
      this.#stopOf(rows.at(-1)).focus()
    } else if (at >= 0) {
      const next = step(event.key, at, rows.length)
      if (next === undefined) return
      event.preventDefault()
      this.#stopOf(rows[next]).focus()
    }
  }

  /** What of a row has the focus: its mark, while several are chosen. */
  #stopOf(row) {
    return this.#selection.isOn && $('.pick', row) || row
  }
}

const sizeOfLog = () => `${log.clientWidth}×${log.clientHeight} of ${log.scrollHeight}`

/** Pixels of the log that lie below what is in sight. */
const below = () => log.scrollHeight - log.scrollTop - log.clientHeight

const newestOf = all => all.reduce((newest, { seq }) => Math.max(newest, seq), 0)

const indexOf = (all, key) => all.findIndex(message => message.key === key)

/** The first own message from `from` on that has a mark of its own. */
const nextOwn = (all, from) => all.slice(from).find(({ mine, recalled }) => mine && !recalled)
