// Search in what the phone holds: chats by name, and messages by what they say. The server is not asked.
const { nameOf } = require('./people')
const { textOf } = require('./messages')

// Chats that are looked at, the newest: names that are not known are asked for.
const MOST_CHATS = 500
// Results of each kind.
const MOST_FOUND = 50
// The page is free again after so long a piece of work.
const PIECE_MS = 8
// What stands around that which was found.
const BEFORE = 10
const AFTER = 80

/** These words as they are, in capitals or not. */
const patternOf = (words) => new RegExp(words.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'), 'iu')

/**
 * Chats (as users) and messages with these words, the newest first; undefined where `isWanted` says that nobody waits for them any more.
 * @param {import('../sdk/hongyan').Client} chat
 * @param {string} words
 * @param {() => boolean} isWanted
 */
async function find(chat, words, isWanted) {
  const pattern = patternOf(words)
  const chats = []
  const messages = []
  let begun = Date.now()
  for (const { peer } of chat.conversations().slice(0, MOST_CHATS)) {
    const user = chat.user(peer)
    if (chats.length < MOST_FOUND && (pattern.test(nameOf(user)) || pattern.test(peer))) chats.push(user)
    const said = chat.messages(peer)
    for (let i = said.length - 1; i >= 0 && messages.length < MOST_FOUND; i -= 1) {
      if (!said[i].recalled && pattern.test(textOf(said[i]))) messages.push(said[i])
    }
    if (Date.now() - begun >= PIECE_MS) {
      await new Promise((resolve) => setTimeout(resolve, 0))
      if (!isWanted()) return undefined
      begun = Date.now()
    }
  }
  return { chats, messages: messages.sort((one, other) => other.sent_at - one.sent_at), isMore: messages.length === MOST_FOUND }
}

/** The part of a text around what was found. */
function excerpt(text, words) {
  const match = patternOf(words).exec(text)
  if (!match) return { before: text.slice(0, AFTER), match: '', after: '' }
  const end = match.index + match[0].length
  // Not through the middle of an emoji, and on one line.
  const before = text.slice(Math.max(0, match.index - BEFORE), match.index).replace(/^[\udc00-\udfff]/, '')
  const line = (part) => part.replace(/\s+/g, ' ')
  return { before: `${match.index > BEFORE ? '…' : ''}${line(before)}`, match: line(match[0]), after: line(text.slice(end, end + AFTER)) }
}

module.exports = { MOST_FOUND, find, excerpt }
