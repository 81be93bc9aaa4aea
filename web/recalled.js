/** Words of messages that were recalled here: for some minutes, and nowhere but in this page, they can be written anew. */

const KEPT_MS = 5 * 60_000
const MOST = 20

export class Recalled {
  /** By peer and key, the oldest first. */
  #words = new Map()
  #changed

  /** `changed` is told the peer when the time of a message is over. */
  constructor(changed) {
    this.#changed = changed
  }

  /** Recalls a text by `recall`, and keeps its words if that is done. */
  async keep({ peer, key, type, message }, recall) {
    const name = nameOf(peer, key)
    // Before: the page is drawn as soon as it is done.
    if (type === 'text') this.#words.set(name, message)
    if (this.#words.size > MOST) this.#words.delete(this.#words.keys().next().value)
    try {
      await recall()
    } catch (error) {
      this.#words.delete(name)
      throw error
    }
    setTimeout(() => {
      if (this.#words.delete(name)) this.#changed(peer)
    }, KEPT_MS)
  }

  /** Undefined where there are none. */
  wordsOf({ peer, key, recalled }) {
    return recalled ? this.#words.get(nameOf(peer, key)) : undefined
  }
}

const nameOf = (peer, key) => `${peer} ${key}`
