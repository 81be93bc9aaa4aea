/** Names and avatars. */
import { noop } from '../errors.js'
import { demand, isOpenid, isString, listOf } from '../grammar.js'
import { call } from './account.js'
import { client } from './client.js'
import { emit } from './listeners.js'
import { base, lazy } from './options.js'
import { load, store } from './storage.js'

/** By openid, as the server says it: the avatar is a path. */
export const users = new Map()
for (const [openid, each] of listOf(load('users')).map(listOf)) users.set(openid, each)
/** Need not be asked for now. */
export const known = new Set()
const wanted = []

const user = openid => {
  const { nickname, avatar } = users.get(openid) || {}
  if (openid && !known.has(openid)) {
    known.add(openid)
    wanted.push(openid)
    usersSoon()
  }
  return { openid, nickname: isString(nickname) ? nickname : '', avatar: avatar && isString(avatar) ? base + avatar : '' }
}
const usersSoon = lazy(0, () => {
  const openids = wanted.splice(0, 100)
  if (wanted.length) usersSoon()
  // Names are an ornament: where they cannot be had, there are none.
  call('GET', `/v1/users?openids=${openids}`).then(answer => keepUsers(answer.users)).catch(noop)
})
const keepUsers = answered => {
  for (const each of answered) users.set(each.openid, each)
  store('users', [...users].slice(-500))
  emit('users', { openids: answered.map(each => each.openid) })
}

Object.assign(client, {
  user(openid) {
    demand(isOpenid(openid), 'openid')
    return user(openid)
  },
  me: () => user(client.openid),
  async setProfile(profile) {
    keepUsers([await call('PUT', '/v1/me', profile)])
    return user(client.openid)
  },
})
