/** What was missed is asked for; and everything, where the server has another history than is known here. */
import { noop } from '../errors.js'
import { isString } from '../grammar.js'
import { isBehind, newRow } from '../rows.js'
import { single } from '../single.js'
import { own } from './account.js'
import { client } from './client.js'
import { arrived, ask } from './connection.js'
import { lastPeer, openPeer } from './history.js'
import { changed } from './listeners.js'
import { marksSoon } from './marks.js'
import { after, lazy, pageSize } from './options.js'
import { flush } from './outbox.js'
import { all, chats, rows, stored } from './table.js'
import { known } from './users.js'

/** Which database the cursor and all seqs are from. */
export let cursor, generation
// What is left out is fetched again.
if (isString(chats.cursor) && rows.size === stored.length) ({ cursor, generation } = chats)
/** How often everything was forgotten. */
export let age = 0
export const forgetCursor = () => {
  age++
  cursor = null
}
/** As after a backup was restored. What the server does not have goes out again. */
export const startOver = () => {
  forgetCursor()
  for (const row of all()) {
    Object.assign(row, newRow(row.peer), { outbox: row.outbox })
    for (const entry of row.outbox) entry.seq = 0
  }
  syncSoon()
}
/** Of another database the seqs say nothing. */
export const syncWith = next => {
  if (generation && next !== generation) startOver()
  generation = next
  sync()
}

let isWished = false
/** @type {any} */
export let named = {}
/** Not at once: what is missing may be on its way. And not with one that is under way, for that may know nothing of it. */
export const syncSoon = lazy(300, () => {
  isWished = true
  sync()
})
/**
 * Named are the conversations whose window must go on without a gap: the one last on screen, and those with a hole. Of all others the newest page
 * is enough, however much was missed; and the newest message, where there is nothing yet, for pages are fetched when somebody looks at them.
 */
export const sync = single(async () => {
  const limit = cursor ? pageSize : 1
  for (let more = true; more || isWished;) {
    isWished = false
    const asks = all().filter(row => row.window.length && (row.peer === lastPeer || isBehind(row))).slice(0, 200)
    // Somebody may be called __proto__.
    named = { __proto__: null }
    for (const { peer, to } of asks) named[peer] = to
    await own(ask({ type: 'sync', since: cursor, conversations: named, limit: asks.some(isBehind) ? 200 : limit })).then(answer => {
      cursor = answer.cursor
      more = answer.has_more
      // What goes on after that came meanwhile. An older server says only when there is no more.
      if (answer.caught_up || !more) arrive()
    }, e => {
      if (!e.status) throw e
      // It was not answered.
      more = true
      // A cursor of another server.
      if (e.word === 'bad_frame') cursor = null
      return after(e.retry_after_ms || 1000)
    })
  }
  syncLater()
})
const syncLater = lazy(300000, sync)
/** What was missed is here. */
const arrive = () => {
  arrived()
  rows.forEach(flush)
  if (openPeer) client.open(openPeer).catch(noop)
  known.clear()
  marksSoon()
  changed()
}
