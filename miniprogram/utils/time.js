// Times as WeChat writes them.
const { fill } = require('./words')

const DAY_MS = 24 * 60 * 60 * 1000
const midnight = (at) => new Date(at.getFullYear(), at.getMonth(), at.getDate())
const clock = (at) => `${at.getHours()}`.padStart(2, '0') + ':' + `${at.getMinutes()}`.padStart(2, '0')

/** The day, or nothing where it is today: 昨天, 星期三, 3月5日, 2023年3月5日. */
function dayOf(at, now, words) {
  // A day with a change of the clock has 23 or 25 hours.
  const days = Math.round((midnight(now).getTime() - midnight(at).getTime()) / DAY_MS)
  if (days <= 0) return ''
  if (days === 1) return words.yesterday
  if (days < 7) return words.weekdays[at.getDay()]
  const values = { year: at.getFullYear(), month: words.months[at.getMonth()], day: at.getDate() }
  return fill(values.year === now.getFullYear() ? words.day : words.date, values)
}

/** For a list of conversations: 18:03, 昨天, 星期三, 3月5日. */
function shortTime(ms, nowMs, words) {
  const at = new Date(ms)
  return dayOf(at, new Date(nowMs), words) || clock(at)
}

/** Between messages: 18:03, 昨天 18:03, 3月5日 18:03. */
function longTime(ms, nowMs, words) {
  const at = new Date(ms)
  const day = dayOf(at, new Date(nowMs), words)
  return day ? `${day} ${clock(at)}` : clock(at)
}

/** How long ago somebody was seen, by a time that is rounded down to five minutes. */
function seenAgo(ms, nowMs, words) {
  const minutes = Math.floor((nowMs - ms) / 60000)
  if (minutes < 5) return words.seenNow
  if (minutes < 60) return fill(words.seenMinutes, { count: minutes })
  const hours = Math.floor(minutes / 60)
  return hours < 24 ? fill(words.seenHours, { count: hours }) : fill(words.seenDays, { count: Math.floor(hours / 24) })
}

module.exports = { shortTime, longTime, seenAgo }
