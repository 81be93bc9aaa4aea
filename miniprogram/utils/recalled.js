// The words of messages that were recalled on this phone: for some minutes, and in no storage, they can be written anew.
const KEPT_MS = 5 * 60 * 1000
const MOST = 20

/** @typedef {import('../sdk/hongyan').Message} Message */

/** Of whoever is signed in at `chat`. @param {import('../sdk/hongyan').Client} chat */
function createRecalled(chat) {
  /** The oldest first. @type {Map<string, string>} */
  const words = new Map()
  const listeners = new Set()
  let owner = chat.openid
  const nameOf = ({ peer, key }) => `${peer} ${key}`

  chat.on('state', () => {
    if (owner !== chat.openid) words.clear()
    owner = chat.openid
  })

  return {
    /** Recalls a message, and keeps what it said if that is done. */
    async recall(/** @type {Message} */ message) {
      const name = nameOf(message)
      // Before: the page is drawn as soon as it is done.
      if (message.type === 'text') words.set(name, message.message)
      if (words.size > MOST) words.delete(Array.from(words.keys())[0])
      try {
        await chat.recall(message.peer, message.seq)
      } catch (error) {
        words.delete(name)
        throw error
      }
      setTimeout(() => {
        if (words.delete(name)) listeners.forEach((run) => run())
      }, KEPT_MS)
    },
    /** Empty where there are none. */
    wordsOf: (/** @type {Message} */ message) => (message.recalled && words.get(nameOf(message))) || '',
    /** Runs when the time of a message is over; gives what stops that. */
    on(/** @type {() => void} */ run) {
      listeners.add(run)
      return () => listeners.delete(run)
    },
  }
}

module.exports = { createRecalled }
