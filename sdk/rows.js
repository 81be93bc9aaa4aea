import { unavailable } from './errors.js'
import { isEvent, isOpenid, isSeq, MESSAGE_TYPE } from './grammar.js'

// A row is what is known of one conversation. Its `window` holds events (messages, and recalls) with rising seqs, without a hole, and ends at
// `to`. `outbox` has own messages that are not in the window yet.

const MARKS = ['last_seq', 'cleared_seq', 'read_seq', 'read_told', 'recv_seq', 'peer_read_seq', 'peer_recv_seq', 'unread', 'to']
export const newRow = peer => {
  const row = { peer, window: [], outbox: [] }
  for (const name of MARKS) row[name] = 0
  return /** @type {any} */ (row)
}

/** Not a recall, nor what a later release says of an earlier message: that is drawn as nothing, and counts for nothing. */
export const isMessage = ({ target, extra, type }) => !target && (!extra.of_seq || MESSAGE_TYPE.test(type))
/** The first seq of the window, or the one after `to` where it is empty. */
export const firstOf = row => row.to - row.window.length + 1
export const isBehind = row => row.to < row.last_seq
export const hasOlder = row => firstOf(row) > row.cleared_seq + 1
export const lastTheirs = row => row.window.reduce((last, event) => (event.mine ? last : event.seq), 0)
export const unreadAbove = (row, seq) => row.window.filter(event => event.seq > seq && !event.mine && isMessage(event) && !event.recalled).length

/** A row as it was stored: of what the server has, nothing less can be shown. */
export const isRow = row => isOpenid(row.peer) && MARKS.every(name => row[name] <= row.last_seq && isSeq(row[name])) && Array.isArray(row.window) &&
  row.window.every((event, i) => isEvent(event) && event.seq === firstOf(row) + i)

/**
 * Brings a stretch of events into the window; what is there is dropped. Where a hole would stay, the window begins anew with the stretch: what
 * was before is in history. False where the two contradict each other: then the server has lost what it had.
 */
export const merge = (row, stretch) => {
  const events = stretch.filter(event => !(event.seq <= row.cleared_seq))
  const first = firstOf(row)
  const known = seq => row.window[seq - first] || {}
  const [oldest] = events
  if (!oldest) return true
  if (!events.every((event, i) => isEvent(event) && event.seq === oldest.seq + i)) throw unavailable()
  const end = oldest.seq + events.length - 1
  if (events.some(({ seq, sent_at }) => (known(seq).sent_at || sent_at) !== sent_at)) return false
  if (oldest.seq > row.to + 1) row.window = events
  else if (end < first - 1) return !(oldest.sent_at > known(row.to).sent_at)
  else row.window = [...events.filter(event => event.seq < first), ...row.window, ...events.filter(event => event.seq > row.to)]
  raise(row, { to: end, last_seq: end })
  // A recall overwrites what it recalls, whichever of them came first.
  const recalled = new Set(row.window.map(event => event.target))
  row.window = row.window.map(event => (recalled.has(event.seq) ? { ...event, message: '', extra: {}, recalled: true } : event))
  return true
}

/** Marks never go back. */
export const raise = (row, marks) => {
  for (const name in marks) if (marks[name] > row[name]) row[name] = marks[name]
}

/** Forgets everything up to `seq`. */
export const clear = (row, seq) => {
  raise(row, { cleared_seq: seq, to: seq })
  row.window = row.window.filter(event => event.seq > row.cleared_seq)
}
