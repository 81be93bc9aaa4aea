// What messages and errors say to a person.
const words = require('../i18n/index')
const { lookUp } = require('./words')

/** A message as text: what it says, or what kind of thing it is. */
function textOf(message) {
  if (message.recalled) return message.mine ? words.room.recalledMine : words.room.recalledTheirs
  if (message.type === 'text') return message.message
  return lookUp(words.types, message.type) || message.message || words.types.custom
}

/** Several messages as text: of each who wrote it, but of one alone. */
function textOfSeveral(messages, nameOf) {
  return messages.length === 1 ? textOf(messages[0]) : messages.map((message) => `${nameOf(message)}: ${textOf(message)}`).join('\n')
}

const LINK = /https?:\/\/[\w\-.~:/?#[\]@!$&'()*+,;=%]*[\w/#=&~-]/gi

/**
 * The text in parts, each with where it begins, those with `link` to be tapped. A link ends before the punctuation after it, and before
 * anything that is not ASCII.
 */
function partsOf(text) {
  const parts = []
  let end = 0
  const add = (from, to, link) => { if (to > from) parts.push({ at: from, text: text.slice(from, to), link }) }
  text.replace(LINK, (link, at) => {
    add(end, at, false)
    end = at + link.length
    add(at, end, true)
    return link
  })
  add(end, text.length, false)
  return parts
}

// A message that is longer has a page for itself: a room of such messages would not fit into WeChat's `setData`, nor be read by anybody.
const LONGEST_SHOWN = 1000
const MOST_LINES = 30
// What is folded is not only its last word.
const FOLDED_LENGTH = 800
const FOLDED_LINES = 24

/** The beginning of a text that is too long for a bubble, or the text itself. */
function folded(text) {
  const end = text.length > LONGEST_SHOWN || lineEnd(text, MOST_LINES) < text.length ? Math.min(lineEnd(text, FOLDED_LINES), FOLDED_LENGTH) : text.length
  if (end === text.length) return text
  // Not through the middle of an emoji.
  return `${text.slice(0, end).replace(/[\ud800-\udbff]$/, '')}…`
}

/** Where the line after so many ends. */
function lineEnd(text, lines) {
  let end = -1
  for (let line = 0; line < lines; line += 1) {
    end = text.indexOf('\n', end + 1)
    if (end < 0) return text.length
  }
  return end
}

/**
 * Advice on an error, in the user's language: the words of the server and of the SDK are for developers.
 * @param {{ word: string }} error
 */
function errorText({ word }) {
  return lookUp(words.errors, word) || words.errors.other
}

module.exports = { textOf, textOfSeveral, partsOf, folded, errorText }
