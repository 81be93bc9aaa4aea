// What the profile says of notices.
const words = require('../i18n/index')
const { fill } = require('./words')

const DEFAULT_HOURS = { from: '22:00', to: '08:00' }

/** @param {import('../sdk/notices').NoticesState} state */
function noticesOf({ available, left, choice, quiet }) {
  const text = choice === 'never' ? words.profile.noticesNever : left ? fill(words.profile.noticesLeft, { count: left }) : words.profile.noticesNone
  // From an hour to the same hour is no time.
  const isQuiet = !!quiet && quiet.from !== quiet.to
  return { available, text, quiet: isQuiet, ...(isQuiet ? { from: quiet.from, to: quiet.to } : DEFAULT_HOURS) }
}

module.exports = { DEFAULT_HOURS, noticesOf }
