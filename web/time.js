/** Times as WeChat shows them: the nearer, the shorter. */

import { locale, text } from './text.js'

const clock = new Intl.DateTimeFormat(locale, { timeStyle: 'short' })
const weekday = new Intl.DateTimeFormat(locale, { weekday: 'long' })
const dayOfYear = new Intl.DateTimeFormat(locale, { month: 'short', day: 'numeric' })
const date = new Intl.DateTimeFormat(locale, { year: 'numeric', month: 'short', day: 'numeric' })

/** Calendar days between the two. Rounded, because a day may have 23 or 25 hours. */
function daysBetween(time, now) {
  return Math.round((new Date(now).setHours(0, 0, 0, 0) - new Date(time).setHours(0, 0, 0, 0)) / 86_400_000)
}

function day(time, now) {
  const days = daysBetween(time, now)
  if (days === 1) return text('yesterday')
  if (days > 1 && days < 7) return weekday.format(time)
  const sameYear = new Date(time).getFullYear() === new Date(now).getFullYear()
  return (sameYear ? dayOfYear : date).format(time)
}

const relative = new Intl.RelativeTimeFormat(locale, { style: 'short' })

/** How long ago somebody was seen, by a time that is rounded down to five minutes. */
export function ago(time, now = Date.now()) {
  const minutes = Math.floor((now - time) / 60_000)
  if (minutes < 5) return text('seen_just_now')
  const [count, unit] = minutes < 60 ? [minutes, 'minute'] : minutes < 24 * 60 ? [Math.floor(minutes / 60), 'hour'] : [Math.floor(minutes / 60 / 24), 'day']
  return text('seen_ago', { ago: relative.format(-count, unit) })
}

/** In the list: 15:12, 昨天, 星期三, 11月2日, 2024年11月2日. */
export function shortTime(time, now = Date.now()) {
  return daysBetween(time, now) === 0 ? clock.format(time) : day(time, now)
}

/** Between messages: the same, always with the hour. */
export function longTime(time, now = Date.now()) {
  return daysBetween(time, now) === 0 ? clock.format(time) : `${day(time, now)} ${clock.format(time)}`
}
