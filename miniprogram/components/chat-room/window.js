// Which messages of a conversation are on the screen. A chat of thousands has a few screens of rows: more are shown where the user scrolls to,
// and as many are dropped at the other end.
const PAGE = 40
const MOST = 200
// Above a message that is gone to: where it came in the talk.
const ABOVE = 10

/** @typedef {import('../../sdk/hongyan').Message} Message */

function createWindow() {
  /** The first one shown; the end, less a page, where there is none. */
  let first = ''
  /** The last one shown; the newest, where there is none. */
  let last = ''
  /** The user is at the end, and what comes is to be scrolled to. */
  let follow = true
  /** The newest that they saw at the end. */
  let seen = 0

  const indexOf = (messages, key, otherwise) => {
    const index = key ? messages.findIndex((message) => message.key === key) : -1
    return index < 0 ? otherwise : index
  }
  const bounds = (messages) => {
    const to = indexOf(messages, last, messages.length - 1) + 1
    const from = Math.min(indexOf(messages, first, Math.max(0, to - PAGE)), to)
    return { from, to }
  }
  const set = (messages, from, to) => {
    first = messages.length ? messages[from].key : ''
    last = to >= messages.length ? '' : messages[to - 1].key
  }
  const newest = (messages) => messages.reduce((seq, message) => Math.max(seq, message.seq), 0)

  return {
    get follow() { return follow },

    /** `before`: the one above the first, for the time between them. `detached`: newer ones are not among them. */
    of(/** @type {Message[]} */ messages) {
      let { from, to } = bounds(messages)
      if (follow && to - from > MOST) from = to - PAGE
      if (follow) from = Math.min(from, Math.max(0, to - PAGE))
      if (messages.length) set(messages, from, to)
      const fresh = follow ? 0 : messages.filter(({ mine, seq, recalled }) => !mine && !recalled && seq > seen).length
      return { shown: messages.slice(from, to), before: messages[from - 1], detached: to < messages.length, fresh }
    },
    /** Whether there were older ones at hand. */
    older(/** @type {Message[]} */ messages) {
      const { from, to } = bounds(messages)
      const start = Math.max(0, from - PAGE)
      if (start < from) set(messages, start, Math.min(to, start + MOST))
      return start < from
    },
    newer(/** @type {Message[]} */ messages) {
      const { from, to } = bounds(messages)
      const end = Math.min(messages.length, to + PAGE)
      if (end > to) set(messages, Math.max(from, end - MOST), end)
    },
    /** The message with this key, a few above it, and what follows. */
    toMessage(/** @type {Message[]} */ messages, /** @type {string} */ key) {
      const from = Math.max(0, indexOf(messages, key, 0) - ABOVE)
      if (follow) seen = newest(messages)
      set(messages, from, Math.min(messages.length, from + MOST))
      follow = false
    },
    toEnd() {
      first = ''
      last = ''
      follow = true
    },
    /** The user scrolled to the end, or away from it. */
    setFollow(/** @type {Message[]} */ messages, /** @type {boolean} */ on) {
      if (follow && !on) seen = newest(messages)
      follow = on && !last
    },
  }
}

module.exports = { createWindow }
