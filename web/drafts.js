/** Text that was begun in a chat and not sent. It outlives a reload, as all that the tab keeps. */

import { isOpenid } from './text.js'

const MAX_DRAFTS = 50
/** Characters of all drafts together. The unsent messages need the storage more. */
const MAX_STORED_CHARACTERS = 256 * 1024

export class Drafts {
  #store
  /** By peer, the oldest first. */
  #drafts
  #listeners = new Set()
  #isKept = true

  constructor(store) {
    this.#store = store
    const stored = store.load('drafts', [])
    const isDraft = draft => isOpenid(draft?.peer) && typeof draft.text === 'string' && Number.isFinite(draft.at)
    this.#drafts = new Map(Array.isArray(stored) ? stored.filter(isDraft).map(draft => [draft.peer, draft]) : [])
  }

  get(peer) {
    return this.#drafts.get(peer)?.text ?? ''
  }

  all() {
    return [...this.#drafts.values()]
  }

  /** Returns false where the draft would not outlive a reload and the one before would have. */
  set(peer, text) {
    this.#drafts.delete(peer)
    if (text.trim()) this.#drafts.set(peer, { peer, text, at: Date.now() })
    if (this.#drafts.size > MAX_DRAFTS) this.#drafts.delete(this.#drafts.keys().next().value)
    const wasKept = this.#isKept
    this.#isKept = this.#save()
    for (const run of this.#listeners) run()
    return this.#isKept || !wasKept
  }

  onChange(run) {
    this.#listeners.add(run)
  }

  /** The newest, as many as there is room for. */
  #save() {
    const all = this.all()
    let from = all.length
    for (let room = MAX_STORED_CHARACTERS; from > 0 && (room -= all[from - 1].text.length) >= 0;) from--
    return this.#store.save('drafts', all.slice(from)) && from === 0
  }
}
