// Times as WeChat shows them: the nearer, the shorter.
const { t, weekday, isChinese } = require('./i18n')

const DAY = 86400000

const two = (n) => String(n).padStart(2, '0')
const clock = (at) => two(at.getHours()) + ':' + two(at.getMinutes())
const midnight = (at) => new Date(at.getFullYear(), at.getMonth(), at.getDate()).getTime()

function date(at, now) {
  const day = isChinese() ? `${at.getMonth() + 1}月${at.getDate()}日` : `${at.getMonth() + 1}/${at.getDate()}`
  if (at.getFullYear() === now.getFullYear()) return day
  return isChinese() ? `${at.getFullYear()}年${day}` : `${day}/${at.getFullYear()}`
}

/** Today: the clock. This week: the day. Else: the date. */
function parts(ms, nowMs) {
  const at = new Date(ms)
  const now = new Date(nowMs)
  // Days differ by 23 to 25 hours where clocks are set.
  const days = Math.round((midnight(now) - midnight(at)) / DAY)
  if (days <= 0) return { day: '', clock: clock(at) }
  if (days === 1) return { day: t('yesterday'), clock: clock(at) }
  if (days < 7) return { day: weekday(at.getDay()), clock: clock(at) }
  return { day: date(at, now), clock: clock(at) }
}

/** Beside a conversation. */
function short(ms, now) {
  const { day, clock } = parts(ms, now)
  return day || clock
}

/** Between messages. */
function long(ms, now) {
  const { day, clock } = parts(ms, now)
  return day ? day + ' ' + clock : clock
}

module.exports = { short, long }
