/** Whose client it is: the token, and HTTP with it. */
import { fault, faultOf, toFault, unavailable } from '../errors.js'
import { demand, isOpenid, isString } from '../grammar.js'
import { single } from '../single.js'
import { client } from './client.js'
import { giveUp } from './connection.js'
import { changed } from './listeners.js'
import { after, base, now, platform, signIn } from './options.js'
import { load, store } from './storage.js'
import { age, forgetCursor } from './sync.js'
import { all, rows } from './table.js'
import { users } from './users.js'

/** Whatever is asked is answered by then. */
export const WAIT_MS = 10000

export let credentials = load('token', {})
if (!isOpenid(credentials.openid) || !isString(credentials.token)) credentials = {}
// Goes with the token: whose it is must be known wherever that is.
client.openid = credentials.openid || ''

const timely = async promise => {
  const answer = await Promise.race([promise, after(WAIT_MS)]).catch(e => {
    throw toFault(e)
  })
  if (!answer) throw fault('timeout')
  return answer
}
const http = async (method, path, body, token) => {
  const { status, body: said } = await timely(platform.request({ method, url: base + path, headers: token ? { Authorization: `Bearer ${token}` } : {}, body }))
  if (status < 300) return said
  if (status === 401) distrust(token)
  throw faultOf({ error: 'unavailable', ...said, status })
}
/** What one user has asked for is not for the next one. */
export const own = async promise => {
  const begun = age
  try {
    return await promise
  } finally {
    if (begun !== age) throw fault('offline')
  }
}
export const call = (method, path, body) => {
  const once = async () => own(http(method, path, body, await own(token())))
  return once().catch(e => {
    if (e.status !== 401) throw e
    return once()
  })
}
const exchange = code => http('POST', '/v1/login', { code })
/** The code is fresh: if it is refused, it is another mini-program's. */
const byCode = async () => exchange(await timely(platform.login())).catch(e => {
  throw e.word === 'bad_code' ? fault('wrong_appid', 'check wechat.appid and wechat.secret', e) : e
})
/** Not while it is stopped: who has signed out stays so. */
const renew = single(async () => {
  if (client.state === 'stopped') throw fault('offline')
  const { openid, token, expires_in } = await own((signIn || byCode)({ login: exchange }))
  // A proxy's answer names nobody, and costs nobody what is here.
  if (!openid || !token) throw unavailable()
  // One that has ended is for the server to refuse: the clocks may differ.
  demand(isOpenid(openid) && Number.isFinite(expires_in), 'answer of signIn')
  if (client.openid && client.openid !== openid) {
    forgetUser()
    giveUp()
  }
  client.openid = openid
  credentials = { openid, token, renew_at: now() + expires_in * 900, ends_at: now() + expires_in * 1000 }
  store('token', credentials)
  changed()
})
/** One that holds. */
export const token = async (until = credentials.ends_at) => {
  if (!(now() < until)) await renew()
  return credentials.token
}
export const distrust = token => {
  if (credentials.token === token) credentials.ends_at = 0
}
const forgetUser = () => {
  for (const name of ['token', 'chats', 'outbox', 'users']) store(name)
  // What is on its way must not go out in another name.
  for (const row of all()) row.outbox = []
  rows.clear()
  users.clear()
  forgetCursor()
  client.leave()
  credentials = {}
  client.openid = ''
}
Object.assign(client, {
  call,
  async signOut() {
    const { token } = credentials
    client.stop()
    forgetUser()
    changed()
    await http('POST', '/v1/logout', {}, token)
  },
})
