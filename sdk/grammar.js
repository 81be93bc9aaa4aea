import { fault } from './errors.js'

// What a call is given is checked before anything is stored or sent: the server ends a session that sends ten bad frames. What the storage
// gives is checked too, for another release or another program may have written there.

/** Refuses an argument of a call. */
export const demand = (isRight, what) => {
  if (!isRight) throw fault('bad_request', `invalid ${what}`, { status: 400 })
}

export const isString = value => typeof value === 'string'
export const isObject = value => value && typeof value === 'object' && !Array.isArray(value)
export const isSeq = value => Number.isSafeInteger(value) && value >= 0
export const listOf = value => (Array.isArray(value) ? value : [])

/** Some words are paths of the server's. */
const OPENID = /^(?!(healthz|readyz|metrics|v1|wechat|assets|admin|system)$)[\w-]{1,64}$/
export const isOpenid = value => isString(value) && OPENID.test(value)

export const MESSAGE_TYPE = /^(text|image|voice|video|file|location|card|custom)$/
const MAX_FIELDS = 120
const MAX_DEPTH = 32

const depthOf = value => (value && typeof value === 'object' ? 1 + Math.max(0, ...Object.keys(value).map(key => depthOf(value[key]))) : 0)
/** Half an emoji, as an <input> with a maximal length leaves it, would be refused. */
const mended = text => text.replace(/[\0\ud800-\udfff]/gu, '\ufffd')
/** The same in JSON, where some engines write it as an escape. */
const mendedJson = json => mended(json).replace(/\\(u0000|u[dD][89a-fA-F]..|.)/g, escape => (escape[2] ? '\ufffd' : escape))

/** The part of a message that the sender gives, as it is stored and sent. */
export const draftOf = (text, { type = 'text', extra = {} }) => {
  demand(MESSAGE_TYPE.test(type), 'type')
  demand(isString(text) && (type !== 'text' || text.trim()), 'message')
  let fields
  try {
    fields = JSON.parse(mendedJson(JSON.stringify(extra)))
    // The sender is who has signed in.
    delete fields.from_user_openid
    demand(isObject(fields) && Object.keys(fields).length <= MAX_FIELDS && depthOf(fields) <= MAX_DEPTH)
  } catch (e) {
    // Or it is cyclic, or has a BigInt.
    demand(false, 'extra')
  }
  return { type, message: mended(text), extra: fields }
}

/** Of a message or a recall that has its place. */
export const isEvent = event => isObject(event) && isSeq(event.seq) && Number.isFinite(event.sent_at) && isString(event.type) && isString(event.message) &&
  isObject(event.extra) && typeof event.mine === 'boolean' && isString(event.client_msg_id)
/** A draft and what the outbox knows of it. */
export const isEntry = entry => {
  try {
    draftOf(entry.message, entry)
    return isEvent(entry) && entry.mine && (!entry.error || isString(entry.error.message)) && /^(sending|failed)$/.test(entry.state) && /^[!-~]{1,64}$/.test(entry.client_msg_id)
  } catch (e) {
    return false
  }
}
