/** Which chat is on the screen, and pages further up in it. */
import { firstOf, hasOlder, isMessage } from '../rows.js'
import { single } from '../single.js'
import { call } from './account.js'
import { client } from './client.js'
import { isOnline, probeIfIdle } from './connection.js'
import { shown } from './conversations.js'
import { eventOf, take } from './incoming.js'
import { look } from './marks.js'
import { pageSize } from './options.js'
import { rowOf } from './table.js'

export let openPeer = ''
/** Something may lie over the chat, and be left again: nothing of it goes until another one is opened. */
export let lastPeer

const loadOlder = single(async peer => {
  const row = rowOf(peer)
  const before = shown(row).length
  // A page may be all recalls, which show nothing.
  for (let hasMore = true; hasMore && shown(row).length <= before;) {
    const first = firstOf(row)
    const page = await call('GET', `/v1/messages?peer=${peer}&limit=${pageSize}${row.to ? `&before_seq=${first}` : ''}`)
    take(row, page.messages.map(eventOf), Infinity)
    hasMore = page.has_more && firstOf(row) !== first
  }
})
Object.assign(client, {
  hasOlder: peer => hasOlder(rowOf(peer)),
  loadOlder,
  async open(peer) {
    const row = rowOf(peer)
    openPeer = lastPeer = peer
    look()
    probeIfIdle()
    if (row.window.filter(isMessage).length < pageSize && (hasOlder(row) || !row.to && !isOnline())) await loadOlder(peer)
  },
  leave() {
    openPeer = ''
  },
})
