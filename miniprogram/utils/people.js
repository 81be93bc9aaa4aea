// How people are named and drawn.
const words = require('../i18n/index')
const { fill } = require('./words')

// WeChat's openids have 28 characters, which nobody reads.
const LONGEST_READABLE = 20

function nameOf(user) {
  if (user.nickname) return user.nickname
  return user.openid.length > LONGEST_READABLE ? fill(words.user, { id: user.openid.slice(-4) }) : user.openid
}

/** What an `<avatar>` and a name beside it need. */
function faceOf(user) {
  return { openid: user.openid, name: nameOf(user), avatar: user.avatar }
}

module.exports = { nameOf, faceOf }
