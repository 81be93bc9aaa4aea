/** What pages see of the rows, and what is done with a conversation as a whole. */
import { demand, isOpenid } from '../grammar.js'
import { isMessage } from '../rows.js'
import { call } from './account.js'
import { client } from './client.js'
import { frames } from './frames.js'
import { now } from './options.js'
import { isFailed } from './outbox.js'
import { saveOutbox } from './saving.js'
import { all, rowOf } from './table.js'

export const shown = row => [...row.window.filter(isMessage), ...row.outbox]
/** Where no message is known, the last recall. */
const lastOf = row => shown(row).pop() || row.window.filter(event => event.target).pop()
/** Where nothing is known that is shown, there is something all the same. */
const timeOf = row => (lastOf(row) || row.window[0] || {}).sent_at
export const listed = () => all().filter(timeOf).sort((a, b) => timeOf(b) - timeOf(a))
/** @type {(row: any, event: any) => import('../hongyan').Message} */
export const view = (row, { mine, seq, sent_at, type, message, state, error, recalled, target, client_msg_id, extra }) => {
  // Spelled out: a chat has thousands of messages, and rests and spreads take thirty times as long.
  const mark = seq <= row.peer_read_seq ? 'read' : seq <= row.peer_recv_seq ? 'delivered' : 'sent'
  return {
    peer: row.peer, mine, seq, sent_at, type, message, error, client_msg_id, extra, recalled: !!(recalled || target),
    key: mine && /^\w+$/.test(client_msg_id) ? 'm' + client_msg_id : 'p' + seq, state: !mine ? 'received' : seq ? mark : state,
  }
}

Object.assign(client, {
  conversations: () => listed().map(row => {
    const last = lastOf(row)
    return {
      peer: row.peer, last: last && view(row, last), read_seq: row.read_seq, unread: row.unread, muted: !!row.muted, pinned: !!row.pinned,
      updated_at: timeOf(row), typing: row.typing > now(),
    }
  }),
  unread: () => all().reduce((total, row) => total + (row.muted ? 0 : row.unread), 0),
  messages: peer => shown(rowOf(peer)).map(event => view(rowOf(peer), event)),
  async removeConversation(peer) {
    const row = rowOf(peer)
    const { last_seq: seq } = row
    await call('DELETE', `/v1/conversations/${peer}?up_to_seq=${seq}`)
    // All but what may have gone out.
    row.outbox = row.outbox.filter(entry => !isFailed(entry) && !entry.untried)
    saveOutbox()
    frames.cleared({ seq }, row)
  },
  async setMuted(peer, muted) {
    demand(isOpenid(peer), 'peer')
    await call('PUT', `/v1/conversations/${peer}/settings`, { muted })
  },
})
