/** All modules of a client. Parts come last: they may change what the others do. */
import './account.js'
import { client } from './client.js'
import { changed } from './listeners.js'
import './parts.js'

changed()

export { client }
