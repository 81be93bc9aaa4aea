/** How one message looks. */

import { avatar, nameOf } from './avatar.js'
import { $, icon, make } from './dom.js'
import { explain, fileOf, summary, text } from './text.js'
import { longTime } from './time.js'

const SEPARATOR_MS = 5 * 60_000
/** Characters of a message by which it is named. */
const SAID = 80

/**
 * All that the look of a message hangs on beside itself. `isFirstNew`: the line of new messages stands above it. `canEdit`: it was recalled here, and
 * can be written anew.
 */
export function surroundings(message, previous, next, user, { isFirstNew, canEdit }) {
  return {
    isFirstNew,
    canEdit,
    time: !previous || message.sent_at - previous.sent_at > SEPARATOR_MS ? longTime(message.sent_at) : '',
    // Said once, at the last of those that it is true of.
    mark: message.mine && !message.recalled && !(next && next.state === message.state) ? message.state : '',
    user,
  }
}

/**
 * Brings a row to how the message is now. `drawn` is what this gave before; what is as it was is left alone, so that a bubble under a finger stays
 * there while its mark changes. `retry` is what the red mark does.
 */
export function drawMessage(row, message, { time, mark, user, isFirstNew = false, canEdit = false }, drawn, retry) {
  const content = JSON.stringify([message.recalled, message.message, time, user.nickname, user.avatar, isFirstNew, canEdit])
  const state = JSON.stringify([message.state, mark, message.error?.word])
  if (content !== drawn?.content) drawContent(row, message, { time, user, isFirstNew, canEdit })
  if (content !== drawn?.content || state !== drawn?.state) drawState(row, message, mark, retry)
  return { content, state }
}

function drawContent(row, message, { time, user, isFirstNew, canEdit }) {
  row.className = message.mine ? 'row mine' : 'row'
  row.replaceChildren(
    ...(isFirstNew ? [make('p', { className: 'new-below', textContent: text('new_below') })] : []),
    ...(time ? [make('time', { dateTime: new Date(message.sent_at).toISOString(), textContent: time })] : []),
    message.recalled
      ? make('p', { className: 'note' }, recalled(message, user), ...(canEdit ? [make('button', { className: 're-edit', type: 'button', textContent: text('re_edit') })] : []))
      : make('div', { className: 'line' }, pick(message), avatar(user), bubble(message, user), make('span', { className: 'state' }), opener()),
    make('p', { className: 'note why' }),
  )
}

function drawState(row, message, mark, retry) {
  row.dataset.state = message.state
  $('.state', row)?.replaceChildren(...marks(message.state, mark, retry))
  $('.why', row).textContent = message.state === 'failed' && message.error ? explain(message.error) : ''
}

/** The line that stands in the place of a recalled message. */
export function recalled(message, user) {
  return message.mine ? text('you_recalled') : text('they_recalled', { name: nameOf(user) })
}

function bubble(message, user) {
  const who = message.mine ? text('me') : nameOf(user)
  const said = make('div', { className: 'bubble', dir: 'auto' })
  said.append(make('span', { className: 'unseen', textContent: text('says', { name: who }) }), ...content(message))
  return said
}

/** Mark of a message that is chosen among several. */
const pick = message => make('input', { className: 'pick', type: 'checkbox', tabIndex: -1, 'aria-label': text('select_this', { words: summary(message).slice(0, SAID) }) })

/** For a mouse; the keyboard and a finger have their own ways to the menu. */
function opener() {
  const button = make('button', { className: 'open-menu plain', type: 'button', tabIndex: -1, 'aria-haspopup': 'menu' })
  button.append(icon('i-more', text('message_menu')))
  return button
}

/** A file is a link that says what kind it is. */
function content(message) {
  const file = fileOf(message)
  return file && URL.canParse(file) ? [link(file, summary(message))] : linked(summary(message))
}

const link = (href, words) => make('a', { href, target: '_blank', rel: 'noopener noreferrer', textContent: words })

function marks(state, mark, retry) {
  if (state === 'sending') return [make('span', { className: 'spinner', role: 'img', 'aria-label': text('sending') })]
  if (state === 'failed') return [make('button', { className: 'failed', type: 'button', title: text('retry'), 'aria-label': `${text('failed')}: ${text('retry')}`, textContent: '!', onclick: retry })]
  return mark ? [text(mark)] : []
}

// Up to white space, quotes, or Chinese punctuation, which no one writes in an address; and up to what cannot be seen, or turns the direction of
// writing: an address is what it looks like.
const ADDRESS = /https?:\/\/[^\s\p{C}<>"'`\u3000-\u303f\uff00-\uff0f\uff1a-\uff20\u2018-\u201d]+/giu
const CLOSING = '.,;:!?)]}'

/** The text with its web addresses as links. Other schemes stay text. */
function linked(words) {
  const parts = []
  let from = 0
  for (const { 0: found, index } of words.matchAll(ADDRESS)) {
    let end = found.length
    while (CLOSING.includes(found[end - 1])) end--
    const address = found.slice(0, end)
    if (!URL.canParse(address)) continue
    parts.push(words.slice(from, index), link(address, address))
    from = index + address.length
  }
  parts.push(words.slice(from))
  return parts
}
