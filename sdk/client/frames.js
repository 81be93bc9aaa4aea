/** What the server says. */
import { fault } from '../errors.js'
import { isOpenid, listOf } from '../grammar.js'
import { clear, raise, unreadAbove } from '../rows.js'
import { client } from './client.js'
import { asked, beat, isVisible, tell } from './connection.js'
import { eventOf, take } from './incoming.js'
import { changed, emit } from './listeners.js'
import { now, setTimer } from './options.js'
import { acked } from './outbox.js'
import { named, startOver, syncSoon, syncWith } from './sync.js'
import { rowOf } from './table.js'

/** How much it takes. */
export let limits = { message_bytes: 8192, fields_bytes: 16384 }
let isWarned = 0

/** A node of an earlier release says nothing of pins. */
const setOf = (row, { muted, pinned = row.pinned }) => Object.assign(row, { muted, pinned })

/**
 * All but messages. Other answers are taken where they were asked for.
 * @type {any}
 */
export const frames = {
  __proto__: null,
  init(frame) {
    client.features = listOf(frame.features)
    limits = { ...limits, ...frame.limits }
    beat(frame.heartbeat_ms)
    if (!isVisible) tell({ type: 'background' })
    if (Math.abs(frame.server_time - now()) > 300000 && !isWarned++) emit('error', fault('server_clock', 'set the clock'))
    syncWith(frame.generation)
  },
  sync({ conversations }) {
    for (const { peer, messages, cleared_seq, recv_seq, ...marks } of conversations) {
      if (!isOpenid(peer)) continue
      const row = rowOf(peer)
      const { to } = row
      // It had more when it was asked.
      if (marks.last_seq < named[peer]) return startOver()
      raise(row, marks)
      row.read_told = marks.read_seq
      row.recv_seq = recv_seq
      setOf(row, marks)
      clear(row, cleared_seq)
      take(row, messages.map(eventOf), to)
      // What has come since is not counted there; and what was read while there was no connection is not known there.
      row.unread = row.read_seq > marks.read_seq ? unreadAbove(row, row.read_seq) : marks.unread + unreadAbove(row, marks.last_seq)
    }
  },
  /** Without an `id` it is of what was answered as `unavailable` before, and need not be sent again. */
  ack(frame, row) {
    const entry = !asked.has(frame.id) && row.outbox.find(each => each.client_msg_id === frame.client_msg_id)
    if (entry) acked(row, entry, frame)
  },
  read({ seq }, row, isOwn) {
    raise(row, isOwn ? { read_seq: seq, read_told: seq } : { peer_read_seq: seq })
    if (row.read_seq >= row.to) row.unread = 0
    // How many are left, the server knows.
    if (isOwn && row.unread) syncSoon()
    changed(row)
  },
  recv({ seq }, row, isOwn) {
    raise(row, isOwn ? { recv_seq: seq } : { peer_recv_seq: seq })
    changed(row)
  },
  typing(frame, row) {
    row.typing = now() + 6000
    setTimer(changed, 6000)
    changed()
  },
  cleared({ seq }, row) {
    clear(row, seq)
    syncSoon()
    changed(row)
  },
  settings(frame, row) {
    setOf(row, frame)
    changed()
  },
}
