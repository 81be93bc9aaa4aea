/** What outlives the app: `token`, `device`, `users`, the `outbox`, and in `chats` the newest of everything together with the cursor that belongs to it. */
import { platform, storageKey } from './options.js'

const keyOf = name => storageKey + '.' + name
export const load = (name, otherwise) => {
  try {
    return JSON.parse(/** @type {any} */ (platform.storage.get(keyOf(name)))) || otherwise
  } catch (e) {
    // There is nothing.
    return otherwise
  }
}
/** Whether there was room. Without a value, what is there goes. */
export const store = (name, value) => {
  try {
    if (value) platform.storage.set(keyOf(name), JSON.stringify(value))
    else platform.storage.remove(keyOf(name))
    return value
  } catch (e) {
    return false
  }
}
