/** Where the new messages of a chat begin: as it was when the user came to it, for what is on the screen is read. */

/** With fewer, a chat that was never read needs no line: all of it is new. */
const MANY = 10

export class Unread {
  /** How many there were. */
  count
  /** The button that leads there has done its work. */
  isSeen = false
  #after
  #newest

  /** New is what the other wrote after the seq `after`. `newest` is the last seq of then: what the user writes later is no sign of having read before. */
  constructor({ after, newest, count }) {
    this.count = count
    this.#after = after
    this.#newest = newest
  }

  /** The first new one of `all` messages known, where it is surely the first; `isReached` says whether older ones need not be fetched to tell. */
  first(all, hasOlder) {
    const answered = all.findLast(({ mine, seq }) => mine && seq > 0 && seq <= this.#newest)?.seq ?? 0
    const after = Math.max(this.#after, answered)
    const isReached = !hasOlder || all.length > 0 && all[0].seq <= after
    const first = isReached ? all.find(({ mine, seq }) => !mine && seq > after) : undefined
    const isWanted = first && (this.count >= MANY || first !== all[0])
    return { isReached, first: isWanted ? first : undefined }
  }
}
