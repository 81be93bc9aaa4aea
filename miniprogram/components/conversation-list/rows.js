// What the list shows, made of what the SDK has.
const words = require('../../i18n/index')
const { shortTime } = require('../../utils/time')
const { fill } = require('../../utils/words')
const { nameOf } = require('../../utils/people')
const { textOf } = require('../../utils/messages')

// A row has one line.
const LONGEST_SUMMARY = 80
const MOST_COUNTED = 99

/**
 * The first so many, as a list of thousands is nothing for a screen.
 * @param {import('../../sdk/hongyan').Client} chat
 * @param {number} count
 * @param {number} now
 */
function conversationRows(chat, count, now) {
  return chat.conversations().slice(0, count).map(({ peer, last, unread, muted, updated_at, typing }) => {
    const user = chat.user(peer)
    const name = nameOf(user)
    const summary = last ? Array.from(textOf(last).replace(/\s+/g, ' ')).slice(0, LONGEST_SUMMARY).join('') : ''
    const time = updated_at ? shortTime(updated_at, now, words.time) : ''
    return {
      key: peer,
      name,
      avatar: user.avatar,
      summary,
      mark: last && (last.state === 'failed' || last.state === 'sending') ? last.state : '',
      time,
      unread: unread > MOST_COUNTED ? `${MOST_COUNTED}+` : unread ? String(unread) : '',
      muted,
      typing,
      label: [name, muted ? words.list.muted : '', unread ? fill(words.list.unread, { count: unread }) : '', summary, time].filter(Boolean).join(', '),
    }
  })
}

module.exports = { conversationRows }
