// Splits a text at its links. A mini-program cannot open them, so that a tap copies.
const LINK = /https?:\/\/[^\s<>"'，。；！？、（）【】《》“”‘’]+/g
/** Marks that end a sentence, not a link. */
const TAIL = /[.,;:!?)\]}]+$/

/** @param {string} text */
function split(text) {
  const parts = []
  let at = 0
  for (const match of text.matchAll(LINK)) {
    const link = match[0].replace(TAIL, '')
    if (match.index > at) parts.push({ text: text.slice(at, match.index), link: false })
    parts.push({ text: link, link: true })
    at = match.index + link.length
  }
  if (at < text.length || !parts.length) parts.push({ text: text.slice(at), link: false })
  return parts
}

module.exports = { split }
