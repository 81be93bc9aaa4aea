/** The conversations, as they were when the app ended. */
import { demand, isEntry, isOpenid, listOf } from '../grammar.js'
import { isRow, newRow } from '../rows.js'
import { load } from './storage.js'

export const rows = new Map()
export const all = () => [...rows.values()]
export const rowOf = peer => {
  demand(isOpenid(peer), 'peer')
  if (!rows.has(peer)) rows.set(peer, newRow(peer))
  return rows.get(peer)
}

export const chats = load('chats', {})
export const stored = listOf(chats.stored).map(row => ({ ...newRow(), ...row, outbox: [] }))
for (const row of stored.filter(isRow)) rows.set(row.peer, row)
for (const [peer, outbox] of listOf(load('outbox')).map(listOf)) {
  if (isOpenid(peer)) rowOf(peer).outbox = listOf(outbox).filter(isEntry)
}
