/** What an app has added. */
import { demand } from '../grammar.js'
import { client } from './client.js'
import { ask } from './connection.js'
import { frames } from './frames.js'
import { changed, emit, listeners } from './listeners.js'
import { after, knows, parts } from './options.js'
import { load, store } from './storage.js'
import { rowOf } from './table.js'

// What a part has to build on stands in hongyan.d.ts, as `Core`: nothing else in here is for it.
for (const part of parts) {
  demand(part && part.call, 'part')
  Object.assign(client, part({ client, knows, frames, ask, rowOf, changed, listeners, emit, load, store, after }))
}
