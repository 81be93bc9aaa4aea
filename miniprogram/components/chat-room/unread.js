// Where the unread messages of a chat begin, and how many there are: as it was when the user came in, for what they look at is read.

// With fewer, a chat that was never read needs no line: all of it is new.
const MANY = 10

/** @typedef {import('../../sdk/hongyan').Message} Message */

function createUnread() {
  /** Above `read` all is unread, up to `until`: the user sees come what comes once everything is here. */
  let read = 0
  let until = 0
  let isComplete = false
  /** What the list counted, and the newest message then. */
  let counted = 0
  let newest = 0
  let isWaiting = false
  let isEntered = false
  let isSeen = false
  let isReached = false
  let key = ''

  const newestOf = (messages) => messages.reduce((last, { seq }) => Math.max(last, seq), 0)

  return {
    /** This device knows nothing of the chat yet, and has no connection: what is unread, the list will say. */
    get isWaiting() { return isWaiting },
    /** Everything down to the first unread message is here, and which one that is. */
    get isReached() { return isReached },
    get key() { return key },

    /**
     * @param {import('../../sdk/hongyan').Conversation | undefined} conversation as it was before the chat was opened
     * @param {Message[]} messages
     * @param {boolean} isOnline
     */
    enter(conversation, messages, isOnline) {
      isWaiting = !isOnline && (isWaiting || !conversation)
      if (isEntered || isWaiting) return
      isEntered = true
      // Back from a card or another app, and nothing came: the line stays where it was.
      if (until && conversation && !conversation.unread) return
      isComplete = false
      isSeen = false
      read = conversation ? conversation.read_seq : 0
      counted = conversation ? conversation.unread : 0
      newest = newestOf(messages)
    },
    leave() {
      isEntered = false
      isWaiting = false
    },
    seen() {
      isSeen = true
    },

    /** `from`: the seq under the line, or 0. `count`: of the button that leads there, 0 where none is wanted. */
    of(/** @type {Message[]} */ messages, /** @type {boolean} */ hasOlder, /** @type {boolean} */ isOnline) {
      if (!isEntered && !until) return { from: 0, count: 0 }
      if (!isComplete) until = newestOf(messages)
      isComplete = isComplete || isOnline
      const unread = messages.filter(({ mine, recalled, seq }) => !mine && !recalled && seq > read && seq <= until)
      const came = unread.filter(({ seq }) => seq > newest).length
      isReached = !hasOlder || messages.some(({ seq }) => seq > 0 && seq <= read)
      const count = isReached ? unread.length : Math.max(counted + came, unread.length)
      key = unread.length ? unread[0].key : ''
      if (!key || !isReached && !counted || !(read || count >= MANY)) return { from: 0, count: 0 }
      return { from: isReached ? unread[0].seq : 0, count: isSeen ? 0 : count }
    },
  }
}

module.exports = { createUnread }
