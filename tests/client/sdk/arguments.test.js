'use strict'

/** Arguments that are none: each call refuses them by one error, before anything is stored or sent. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { extras } = require('../../../miniprogram/sdk/extras.js')
const { createClient, isOpenid } = require('../../../miniprogram/sdk/hongyan.js')
const { World } = require('./world.js')

const NO_PEERS = [undefined, null, '', 'user.1', '张三', 'a b', 'a/b', 'x'.repeat(65), 'alice\n', 'v1', 'assets', 'admin', 'system', 7, NaN, true, {}, [], ['bob'], () => 'bob', Symbol('bob'), { toString: () => 'bob' }]
const cyclic = {}
cyclic.self = cyclic
const nested = depth => Array.from({ length: depth }).reduce(inner => ({ inner }), {})
const fields = count => Object.fromEntries(Array.from({ length: count }, (_, i) => [`f${i}`, 0]))
const refused = { word: 'bad_request', status: 400 }

/** A device with a conversation, and what must not change: storage, list and frames. */
async function quiet() {
  const world = new World()
  const alice = await world.online('alice', { parts: [extras] })
  world.server.say('bob', 'alice', 'hi')
  await world.tick(5000)
  const state = () => JSON.stringify([[...alice.storage.items], alice.chat.conversations(), world.server.heard.length, world.server.calls.length])
  return { world, alice, state }
}

test('a peer that is none: every call refuses it, and nothing is stored, sent or shown', async () => {
  const { world, alice, state } = await quiet()
  const { chat } = alice
  const before = state()
  const atOnce = ['messages', 'hasOlder', 'typing', 'user']
  const later = ['open', 'loadOlder', 'removeConversation']
  for (const peer of NO_PEERS) {
    for (const name of atOnce) assert.throws(() => chat[name](peer), refused, `${name}(${String(peer)})`)
    for (const name of ['retry', 'discard', 'cancel']) assert.throws(() => chat[name](peer, 'id'), refused, name)
    assert.throws(() => chat.send(peer, 'text'), refused)
    for (const name of later) await assert.rejects(chat[name](peer), refused, `${name}(${String(peer)})`)
    await assert.rejects(chat.setMuted(peer, true), refused)
    await assert.rejects(chat.setPinned(peer, true), refused)
    await assert.rejects(chat.recall(peer, 1), refused)
    assert.equal(isOpenid(peer), false, String(peer))
  }
  await world.tick(10_000)
  assert.equal(state(), before)
  alice.start()
  await world.tick(50)
  assert.deepEqual([alice.chat.state, alice.chat.conversations().map(({ peer }) => peer)], ['online', ['bob']])
})

test('a peer that the grammar allows is one, whatever it reads like', () => {
  for (const peer of ['bob', '__proto__', 'constructor', '-', '0', 'V1', 'v1_', 'Admin', 'system-1', 'x'.repeat(64), 'oX1-_']) assert.equal(isOpenid(peer), true, peer)
})

test('a text that is none, a type that is none, and fields that no frame can have', async () => {
  const { world, alice, state } = await quiet()
  const before = state()
  for (const text of [undefined, null, '', ' ', '\n\t', '　', 7, {}, [], ['x'], true, Symbol('x')]) assert.throws(() => alice.chat.send('bob', text), refused, String(text))
  for (const type of ['', 'Text', 'heart', 'sync', 'read', 'recall', 'typing', 'dice', '__proto__', 7, null, {}]) {
    assert.throws(() => alice.chat.send('bob', 'x', { type }), refused, String(type))
  }
  for (const extra of [null, [], 'x', 7, cyclic, { n: 7n }, nested(32), nested(3_000), nested(100_000), fields(121), { toJSON: () => 7 }, () => {}]) {
    assert.throws(() => alice.chat.send('bob', 'x', { extra }), refused)
  }
  await world.tick(10_000)
  assert.equal(state(), before)
  // What is no text may be without one.
  alice.chat.send('bob', '', { type: 'card', extra: { title: 'x' } })
  alice.chat.send('bob', 'x', null)
  await world.tick(50)
  assert.deepEqual(alice.states('bob'), ['received', 'sent', 'sent'])
})

test('what the server would take for somebody else’s, or would not read, is mended', async () => {
  const world = new World()
  const alice = await world.online('alice')
  const extra = { from_user_openid: 'bob', 'half \ud83d': ['\ud83d', '\0', '\\u0000', '\\ud83d'], gone: undefined, when: new Date(0) }
  const { extra: kept } = alice.chat.send('bob', 'x', { extra })
  assert.deepEqual(kept, { 'half \ufffd': ['\ufffd', '\ufffd', '\\u0000', '\\ud83d'], when: '1970-01-01T00:00:00.000Z' })
  await world.tick(50)
  const [{ from_user_openid, ...frame }] = world.heard('text')
  assert.deepEqual([from_user_openid, frame['half \ufffd']], [undefined, kept['half \ufffd']])
})

test('what other calls are given', async () => {
  const { world, alice, state } = await quiet()
  const before = state()
  for (const seq of [0, -1, 1.5, NaN, '1', undefined, null, {}]) await assert.rejects(alice.chat.recall('bob', seq), refused, String(seq))
  for (const event of ['message', '__proto__', 'constructor', undefined]) assert.throws(() => alice.chat.on(event, () => {}), refused)
  for (const run of [undefined, null, 'x', {}]) assert.throws(() => alice.chat.on('state', run), refused)
  await world.tick(10_000)
  assert.equal(state(), before)
})

test('options that are none', () => {
  const { url, adapter } = { url: 'http://chat.example', adapter: { storage: { get() {}, set() {}, remove() {} } } }
  const wrong = [
    {}, { url: 7 }, { url: '' }, { url: 'chat.example' }, { url: 'wss://chat.example' }, { url: 'https:///x' }, { url, storageKey: '' }, { url, storageKey: 7 },
    { url, signIn: 'x' }, ...[0, 101, -1, 1.5, '20', null, NaN].map(pageSize => ({ url, pageSize })),
  ]
  for (const options of wrong) assert.throws(() => createClient({ adapter, ...options }), refused, JSON.stringify(options))
  createClient({ adapter, url, pageSize: 100, storageKey: 'x' })
})

test('a signIn that names nobody refuses for good, and says what is wrong', async () => {
  const right = { openid: 'alice', token: 'x', expires_in: 60 }
  for (const wrong of [{ openid: 'user.1' }, { openid: 7 }, { expires_in: undefined }, { expires_in: 'soon' }, { expires_in: NaN }]) {
    const world = new World()
    const alice = world.device('alice')
    alice.start({ signIn: async () => ({ ...right, ...wrong }) })
    await world.tick(50)
    assert.deepEqual([alice.chat.state, alice.chat.error.word], ['refused', 'bad_request'])
    assert.match(alice.chat.error.message, /of signIn$/)
    assert.deepEqual([alice.chat.openid, alice.storage.get('hongyan.token')], ['', ''])
  }
})
