// What the room shows, made of the SDK's messages.
const words = require('../../i18n/index')
const { longTime } = require('../../utils/time')
const { textOf, partsOf, folded, errorText } = require('../../utils/messages')

// The time stands between messages that are further apart.
const PAUSE_MS = 5 * 60 * 1000

/** @typedef {import('../../sdk/hongyan').Message} Message */

/**
 * @param {Message[]} messages
 * @param {Message | undefined} before the one above the first
 * @param {number} now
 * @param {number} [newFrom] the seq of the first one that the user has not seen
 * @param {(message: Message) => string} [wordsOf] what a recalled one had said, where it can be written anew
 */
function roomRows(messages, before, now, newFrom, wordsOf = () => '') {
  const marked = lastOfEachState(messages)
  return messages.map((message, index) => {
    const previous = index ? messages[index - 1] : before
    const pause = !previous || message.sent_at - previous.sent_at > PAUSE_MS
    const text = textOf(message)
    const shown = folded(text)
    return {
      key: message.key,
      first: !!newFrom && message.seq === newFrom,
      time: pause ? longTime(message.sent_at, now, words.time) : '',
      note: message.recalled ? text : '',
      again: message.recalled ? wordsOf(message) : '',
      mine: message.mine,
      parts: message.recalled ? [] : partsOf(shown),
      /** There is more of it than is shown. */
      more: shown !== text,
      state: message.state === 'sending' || message.state === 'failed' ? message.state : '',
      why: message.state === 'failed' && message.error ? errorText(message.error) : '',
      mark: marked.has(message) ? words.room[message.state] : '',
      seq: message.seq,
      sentAt: message.sent_at,
      id: message.client_msg_id,
    }
  })
}

/** A mark says that all above it are as far: only the last of each is shown. */
function lastOfEachState(messages) {
  const last = {}
  for (const message of messages) {
    if (message.mine && !message.recalled && (message.state === 'delivered' || message.state === 'read')) last[message.state] = message
  }
  return new Set(Object.values(last))
}

module.exports = { roomRows }
