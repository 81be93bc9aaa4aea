'use strict'

/** A clock that stands still until it is told to go on. Everything that is due by then happens in order, and between two timers all promises that can settle do. */
class FakeClock {
  constructor() {
    this.time = 1_800_000_000_000
    this.timers = new Map()
    this.count = 0
    this.seed = 1
    this.now = () => this.time
    this.setTimeout = (run, ms = 0) => {
      // As real ones: what has no 31 bits is due at once.
      this.timers.set(++this.count, { run, at: this.time + (ms > 0 && ms < 2 ** 31 ? ms : 0) })
      return this.count
    }
    this.random = () => {
      // mulberry32
      let t = (this.seed = (this.seed + 0x6d2b79f5) | 0)
      t = Math.imul(t ^ (t >>> 15), t | 1)
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
      return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
    }
  }

  async tick(ms = 0) {
    const until = this.time + ms
    for (;;) {
      await settled()
      let next
      for (const [id, timer] of this.timers) {
        if (timer.at <= until && (!next || timer.at < next.timer.at)) next = { id, timer }
      }
      if (!next) break
      this.timers.delete(next.id)
      this.time = Math.max(this.time, next.timer.at)
      next.timer.run()
    }
    this.time = until
  }
}

/** When every promise that can settle without a timer has settled. */
const settled = () => new Promise(resolve => setImmediate(resolve))

module.exports = { FakeClock }
