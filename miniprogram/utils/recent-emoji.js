// The emoji that were used last on this phone, the last first.
const { EMOJI_GROUPS } = require('./emoji')

const KEY = 'emoji'
const MOST = 24

const isKnown = (wanted) => EMOJI_GROUPS.some(({ emoji }) => emoji.indexOf(wanted) >= 0)

/** @returns {string[]} */
function recentEmoji() {
  try {
    const stored = wx.getStorageSync(KEY)
    return Array.isArray(stored) ? stored.filter(isKnown).slice(0, MOST) : []
  } catch (error) {
    // What cannot be read is not there.
    return []
  }
}

function useEmoji(/** @type {string} */ emoji) {
  try {
    wx.setStorageSync(KEY, [emoji].concat(recentEmoji().filter((each) => each !== emoji)).slice(0, MOST))
  } catch (error) {
    // Where there is no room, it is found in its group.
  }
}

/** With the account. */
function forgetEmoji() {
  try {
    wx.removeStorageSync(KEY)
  } catch (error) {
    // Nothing was kept.
  }
}

module.exports = { recentEmoji, useEmoji, forgetEmoji }
