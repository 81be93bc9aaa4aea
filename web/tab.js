/**
 * What the page remembers of a user beside what the SDK does. All of it, the token and the messages too, is kept for this tab alone: two tabs can be
 * two people, and nothing is left on a machine that others use.
 */

export const tabStorage = {
  get: key => sessionStorage.getItem(key),
  set: (key, value) => sessionStorage.setItem(key, value),
  remove: key => sessionStorage.removeItem(key),
}

/** Values under names that begin with `prefix`. */
export class TabStore {
  #prefix

  constructor(prefix) {
    this.#prefix = prefix
  }

  /** `otherwise` where there is none, or where it cannot be read. */
  load(name, otherwise) {
    try {
      return JSON.parse(tabStorage.get(`${this.#prefix}.${name}`)) ?? otherwise
    } catch {
      return otherwise
    }
  }

  /** Returns whether there was room for it. */
  save(name, value) {
    try {
      tabStorage.set(`${this.#prefix}.${name}`, JSON.stringify(value))
      return true
    } catch {
      return false
    }
  }
}
