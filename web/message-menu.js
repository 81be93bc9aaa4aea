/** What can be done with a message, and with several at once: a line each, in the menu's order. `room` does it. */

import { text } from './text.js'

const entry = (key, run, more) => ({ label: text(key), run, ...more })

/** Entries of the menu of one message. */
export function entriesOf(message, room) {
  const { state, mine, seq } = message
  return [
    entry('copy', () => room.copy(message)),
    entry('select', () => room.select(message)),
    state === 'sending' && entry('cancel_send', () => room.cancel(message)),
    state === 'failed' && entry('retry', () => room.retry(message)),
    state === 'failed' && entry('discard', () => room.discard(message), { danger: true }),
    entry('select_several', () => room.selectSeveral(message)),
    mine && seq > 0 && entry('recall', () => room.recall(message)),
  ].filter(Boolean)
}

/** Buttons of the bar under several chosen ones. */
export function entriesOfSeveral(messages, room) {
  return [
    entry('copy', () => room.copySeveral(messages)),
  ]
}
