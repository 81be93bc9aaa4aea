// The quiet bar under the title: nothing while all is well.
const { t, tError } = require('./i18n')

/** @param {import('../sdk/hongyan').Client} chat */
function notice(chat) {
  if (chat.state === 'waiting') return { text: t('waiting'), action: '' }
  if (chat.state === 'refused') return { text: t('refused', chat.error ? tError(chat.error) : ''), action: t('tapToConnect') }
  return { text: '', action: '' }
}

module.exports = { notice }
