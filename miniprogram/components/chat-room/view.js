// What a room shows, out of what the SDK knows.
const { t } = require('../../utils/i18n')
const { long } = require('../../utils/time')
const { split } = require('../../utils/links')
const { preview } = require('../conversation-list/view')

/** A pause after which the time is said again. */
const PAUSE = 5 * 60000

/** Only where the mark changes: a column of marks says nothing. */
function mark(message, nextOwn) {
  if (!message.mine || (nextOwn && nextOwn.state === message.state)) return ''
  if (message.state === 'delivered') return t('delivered')
  return message.state === 'read' ? t('read') : ''
}

/**
 * The last `many` messages with `peer`, as items of the room.
 *
 * @param {import('../../sdk/hongyan').Client} chat
 * @param {string} peer
 * @param {number} many
 */
function items(chat, peer, many, now = Date.now()) {
  const all = chat.messages(peer)
  const shown = all.slice(-many)
  const faces = { true: chat.me(), false: chat.user(peer) }
  const out = []
  let before = all.length > shown.length ? all[all.length - shown.length - 1].sent_at : 0
  const nextOwn = new Map()
  let next
  for (let n = shown.length - 1; n >= 0; n--) {
    nextOwn.set(shown[n], next)
    if (shown[n].mine && !shown[n].recalled) next = shown[n]
  }
  for (const message of shown) {
    const { key, mine, seq, client_msg_id, state, recalled, sent_at } = message
    const { nickname, avatar, openid } = faces[String(mine)]
    const isText = message.type === 'text'
    out.push({
      key,
      seq,
      client_msg_id,
      mine,
      state,
      recalled,
      time: sent_at - before > PAUSE ? long(sent_at, now) : '',
      note: recalled ? preview(message) : '',
      // The whole text, for the copy.
      text: isText ? message.message : '',
      parts: recalled ? [] : isText ? split(message.message) : [{ text: preview(message), link: false }],
      mark: recalled ? '' : mark(message, nextOwn.get(message)),
      name: nickname || openid,
      avatar,
      openid,
    })
    before = sent_at
  }
  return { items: out, hasOlder: all.length > shown.length || chat.hasOlder(peer) }
}

module.exports = { items }
