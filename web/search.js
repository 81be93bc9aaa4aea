/** Search in what the device holds: chats by name, and messages by what they say. The server is not asked. */

import { avatar, nameOf } from './avatar.js'
import { $, make } from './dom.js'
import { step } from './overlay.js'
import { summary, text } from './text.js'
import { shortTime } from './time.js'

/** Chats that are looked at, the newest: names that are not known are asked for. */
const MOST_CHATS = 500
/** Results of each kind. */
const MOST_FOUND = 50
const TYPED_MS = 150
/** What comes meanwhile is searched too, and not at every message. */
const CHANGED_MS = 1000
/** The page is free again after so long a piece of work. */
const PIECE_MS = 8
/** Characters before what was found that fit on the line with it. */
const BEFORE = 10
const AFTER = 120

const field = $('#search input')
const found = $('#found')
const list = $('#conversations')

export class Search {
  #chat
  #open
  /** Number of the search: an older one that is under way ends. */
  #run = 0
  #timer = 0

  /** `open` is given the peer, and the key where a message was chosen. */
  constructor(chat, open) {
    this.#chat = chat
    this.#open = open
    field.oninput = () => this.#soon(TYPED_MS)
    for (const event of ['conversations', 'users']) chat.on(event, () => { if (this.words) this.#soon(CHANGED_MS) })
    field.onkeydown = event => this.#key(event)
    found.onkeydown = event => this.#key(event)
    found.onclick = ({ target }) => {
      const button = target.closest('button')
      if (button) this.#open(button.dataset.peer, button.dataset.key)
    }
  }

  get words() { return field.value.trim() }

  #end() {
    field.value = ''
    this.#search()
    field.focus()
  }

  /** The first call counts: somebody who types on sees results. */
  #soon(ms) {
    if (!this.words) return this.#search()
    this.#timer ||= setTimeout(() => this.#search(), ms)
  }

  async #search() {
    clearTimeout(this.#timer)
    this.#timer = 0
    const run = ++this.#run
    const { words } = this
    if (!words) return this.#show(undefined)
    const results = await find(this.#chat, words, () => run === this.#run)
    if (run === this.#run) this.#show(results)
  }

  #show(results) {
    list.parentElement.classList.toggle('searching', Boolean(results))
    found.hidden = !results
    if (!results) return found.replaceChildren()
    const { words, chats, messages } = results
    const isNone = !chats.length && !messages.length
    const said = isNone ? text('search_none', { words }) : text('search_done', { chats: chats.length, messages: messages.length })
    const focused = document.activeElement.dataset.at
    found.replaceChildren(
      ...group('search_chats', chats.map(user => result(this.#chat, user.openid, { words, name: nameOf(user) }))),
      ...group('search_messages', messages.map(message => result(this.#chat, message.peer, { words, name: nameOf(this.#chat.user(message.peer)), message }))),
      ...(messages.length === MOST_FOUND ? [make('p', { className: 'hint', textContent: text('search_more', { n: MOST_FOUND }) })] : []),
      ...(isNone ? [make('p', { className: 'none', textContent: said })] : []),
      make('p', { className: 'hint', textContent: text('search_hint') }),
    )
    const announcer = $('#announcer')
    if (announcer.textContent !== said) announcer.textContent = said
    if (focused) found.querySelector(`[data-at="${CSS.escape(focused)}"]`)?.focus()
  }

  #key(event) {
    const stops = [field, ...found.querySelectorAll('button')]
    const at = stops.indexOf(document.activeElement)
    const next = at === 0 && /Home|End/.test(event.key) ? undefined : step(event.key, at, stops.length)
    if (event.isComposing || at < 0) return
    if (event.key === 'Escape' && this.words) this.#end()
    else if (event.key === 'Enter' && at === 0) stops[1]?.click()
    else if (next !== undefined) stops[next].focus()
    else return
    event.preventDefault()
  }
}

/** Chats (as users) and messages with these words, the newest first; undefined where `isWanted` says that nobody waits for them any more. */
async function find(chat, words, isWanted) {
  const pattern = patternOf(words)
  const chats = []
  const messages = []
  let begun = performance.now()
  for (const { peer } of chat.conversations().slice(0, MOST_CHATS)) {
    const user = chat.user(peer)
    if (chats.length < MOST_FOUND && (pattern.test(nameOf(user)) || pattern.test(peer))) chats.push(user)
    const said = chat.messages(peer)
    for (let i = said.length - 1; i >= 0 && messages.length < MOST_FOUND; i--) {
      if (!said[i].recalled && pattern.test(summary(said[i]))) messages.push(said[i])
    }
    if (performance.now() - begun < PIECE_MS) continue
    await new Promise(resolve => setTimeout(resolve))
    if (!isWanted()) return undefined
    begun = performance.now()
  }
  return { words, chats, messages: messages.sort((one, other) => other.sent_at - one.sent_at) }
}

/** These words as they are, in capitals or not. */
const patternOf = words => new RegExp(words.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'), 'iu')

function group(title, results) {
  if (!results.length) return []
  const id = `found-${title}`
  return [make('section', { role: 'group', 'aria-labelledby': id }, make('h2', { id, textContent: text(title) }), ...results)]
}

function result(chat, peer, { words, name, message }) {
  return make('button', { type: 'button', 'data-peer': peer, ...(message && { 'data-key': message.key }), 'data-at': `${peer} ${message?.key ?? ''}` },
    make('span', { className: 'picture' }, avatar(chat.user(peer))),
    make('span', { className: 'head' },
      make('span', { className: 'name', dir: 'auto' }, ...(message ? [name] : marked(name, words))),
      ...(message ? [make('span', { className: 'time', textContent: shortTime(message.sent_at) })] : [])),
    ...(message ? [make('span', { className: 'foot' }, make('span', { className: 'words', dir: 'auto' }, ...marked(summary(message), words)))] : []),
  )
}

/** The part of a text around what was found, and that marked. */
function marked(said, words) {
  const match = patternOf(words).exec(said)
  if (!match) return [said.slice(0, AFTER)]
  const end = match.index + match[0].length
  // Not through the middle of an emoji.
  const before = said.slice(Math.max(0, match.index - BEFORE), match.index).replace(/^[\udc00-\udfff]/, '')
  return [match.index > BEFORE ? '…' : '', before, make('mark', { textContent: match[0] }), said.slice(end, end + AFTER)]
}
