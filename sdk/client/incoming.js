/** What comes into the windows, live and by pages. */
import { isBehind, isMessage, merge, raise } from '../rows.js'
import { client } from './client.js'
import { isOnline } from './connection.js'
import { view } from './conversations.js'
import { lastPeer } from './history.js'
import { changed, emit } from './listeners.js'
import { look, marksSoon } from './marks.js'
import { saveOutbox } from './saving.js'
import { startOver, syncSoon } from './sync.js'

/** @param {any} frame */
export const eventOf = ({ seq, sent_at, type, client_msg_id = '', recalled, target_seq: target, message = '', from_user_openid, to_user_openid, status, ...extra }) =>
  ({ seq, sent_at, type, client_msg_id, recalled, target, message, extra, mine: from_user_openid === client.openid })
/** A message or a recall that came live, or was acked. One that does not follow on the window stays out until the hole is filled. */
export const receive = (row, event) => {
  const { to } = row
  raise(row, { last_seq: event.seq })
  take(row, event.seq > to + 1 ? [] : [event], to)
  if (row.peer !== lastPeer) row.window = row.window.slice(-100)
  // What is recalled may have been unread.
  if (isBehind(row) || event.target && row.unread) syncSoon()
}
/** Brings events into the window. What is above `before` is news. */
export const take = (row, events, before) => {
  const isHere = ({ seq, client_msg_id: id }) => seq && seq <= row.to || row.window.some(event => event.mine && event.client_msg_id === id)
  if (!merge(row, events)) return startOver()
  if (row.outbox.some(isHere)) {
    row.outbox = row.outbox.filter(entry => !isHere(entry))
    saveOutbox()
  }
  for (const event of row.window.filter(isMessage)) {
    if (event.seq <= before) continue
    // Who writes has read what was there.
    row.unread = event.mine ? 0 : row.unread + 1
    row.typing = 0
    if (isOnline() && !event.mine) emit('incoming', { message: view(row, event) })
  }
  look()
  changed(row)
  marksSoon()
}
