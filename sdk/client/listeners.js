/** What listeners are told. */
import { demand } from '../grammar.js'
import { client } from './client.js'
import { lazy } from './options.js'
import { saveSoon } from './saving.js'

/** @type {any} */
export const listeners = { __proto__: null }
for (const event of ['state', 'messages', 'conversations', 'unread', 'users', 'incoming', 'error']) listeners[event] = new Set()
Object.assign(client, {
  on(event, run) {
    demand(listeners[event] && run && run.call, 'event or listener')
    listeners[event].add(run)
    return () => listeners[event].delete(run)
  },
})

/** Each listener has a turn of its own: one that throws is heard of, and stops nobody. */
export const emit = (event, detail) => {
  for (const run of listeners[event]) Promise.resolve().then(() => listeners[event].has(run) && run(detail))
}

const changedPeers = new Set()
let told = 0
const tellChanges = lazy(0, () => {
  const total = client.unread()
  for (const peer of changedPeers) emit('messages', { peer })
  changedPeers.clear()
  emit('conversations', { total })
  if (total !== told) emit('unread', { total })
  told = total
})
export const changed = row => {
  if (row) changedPeers.add(row.peer)
  tellChanges()
  saveSoon()
}
