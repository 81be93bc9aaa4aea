// What a list of conversations shows, out of what the SDK knows.
const { t } = require('../../utils/i18n')
const { short } = require('../../utils/time')

/** One line of a message. */
function preview(message) {
  if (!message) return ''
  if (message.recalled) return t(message.mine ? 'youRecalled' : 'theyRecalled')
  if (message.type === 'text') return message.message.slice(0, 60)
  return ['image', 'voice', 'video', 'file', 'location', 'card'].includes(message.type) ? t(message.type) : t('other')
}

/** @param {import('../../sdk/hongyan').Client} chat */
function rows(chat, now = Date.now()) {
  return chat.conversations().map(({ peer, last, unread, updated_at, typing }) => {
    const { nickname, avatar } = chat.user(peer)
    return {
      peer,
      name: nickname || peer,
      avatar,
      preview: typing ? t('typing') : preview(last),
      typing,
      failed: !!last && last.state === 'failed',
      sending: !!last && last.state === 'sending',
      time: updated_at ? short(updated_at, now) : '',
      badge: unread > 99 ? '99+' : unread ? String(unread) : '',
    }
  })
}

module.exports = { rows, preview }
