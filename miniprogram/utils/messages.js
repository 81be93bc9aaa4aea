// What messages and errors say to a person.
const words = require('../i18n/index')
const { lookUp } = require('./words')

/** A message as text: what it says, or what kind of thing it is. */
function textOf(message) {
  if (message.recalled) return message.mine ? words.room.recalledMine : words.room.recalledTheirs
  if (message.type === 'text') return message.message
  return lookUp(words.types, message.type) || message.message || words.types.custom
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

/** @param {{ word: string, message: string }} error */
function errorText(error) {
  return lookUp(words.errors, error.word) || error.message
}

module.exports = { textOf, partsOf, errorText }
