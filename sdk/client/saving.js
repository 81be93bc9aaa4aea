/** When what is known goes to the storage. */
import { listed } from './conversations.js'
import { lazy, pageSize } from './options.js'
import { store } from './storage.js'
import { cursor, generation } from './sync.js'
import { all } from './table.js'

export const save = () => {
  // WeChat gives a key 1 MB, and a character has up to three bytes.
  let room = 300000
  const kept = listed().map((row, i) => ({ ...row, window: row.window.slice(i < 30 ? -pageSize : -1), outbox: [], typing: undefined }))
    .filter(row => (room -= JSON.stringify(row).length) > 0)
  // A cursor says that everything before it is here. Where that is not so, the list is fetched anew after a restart.
  store('chats', { cursor: room > 0 ? cursor : null, generation, stored: kept })
}
export const saveSoon = lazy(1000, save)
export const saveOutbox = () => {
  const unsent = all().filter(row => row.outbox.length).map(({ peer, outbox }) => [peer, outbox])
  // What the server has can be fetched again: it makes room.
  return store('outbox', unsent) || store('chats') || store('outbox', unsent)
}
