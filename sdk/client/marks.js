/** How far a device has everything (`recv`), and how far it was read. What the server does not know yet is told again. */
import { lastTheirs } from '../rows.js'
import { isVisible, tell } from './connection.js'
import { openPeer } from './history.js'
import { changed } from './listeners.js'
import { lazy } from './options.js'
import { all, rows } from './table.js'

export const marksSoon = lazy(500, () => {
  let room = 20
  for (const row of all()) {
    const tellMark = (type, seq) => room-- > 0 && tell({ type, id: 'r', to_user_openid: row.peer, seq })
    const theirs = lastTheirs(row)
    // Of a mark that does not move the peer hears nothing: so it goes on to what was written oneself.
    if (theirs > row.recv_seq && tellMark('recv', row.to)) row.recv_seq = row.to
    if (row.read_seq > row.read_told) tellMark('read', theirs > row.read_seq ? row.read_seq : row.to)
  }
  if (room < 0) marksSoon()
})
/** Who looks at a chat has read what stands there. */
export const look = () => {
  const row = rows.get(openPeer)
  if (!row || !isVisible || lastTheirs(row) <= row.read_seq) return
  row.read_seq = row.to
  row.unread = 0
  changed(row)
  marksSoon()
}
