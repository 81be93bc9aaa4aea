'use strict'

/** A storage with a broken row, wherever it is broken: the pages show what is whole, and the next sync brings the rest. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { isOpenid } = require('../../../miniprogram/sdk/hongyan.js')
const { World } = require('./world.js')

// The pages' words are in the language of the phone.
globalThis.wx = { getAppBaseInfo: () => ({ language: 'zh_CN' }) }
const { conversationRows } = require('../../../miniprogram/components/conversation-list/rows.js')
const { roomRows } = require('../../../miniprogram/components/chat-room/rows.js')
delete globalThis.wx

const PARTS = [undefined, null, 7, -1, 1.5, '.x', '张三', '', true, [], {}, [null], { peer: null }]

/** Everything that a page draws. */
function draw(device) {
  const { chat } = device
  const rows = conversationRows(chat, 1000, device.world.clock.now())
  const rooms = chat.conversations().map(({ peer }) => roomRows(chat.messages(peer), undefined, device.world.clock.now()))
  assert.ok(Number.isSafeInteger(chat.unread()))
  // To WeChat, null is a word.
  const leaves = value => (value && typeof value === 'object' ? Object.values(value).flatMap(leaves) : [value])
  for (const leaf of leaves([rows, rooms])) assert.notEqual(leaf ?? null, null, JSON.stringify([rows, rooms]))
  return { rows: rows.map(({ key, summary }) => [key, summary]), rooms: rooms.map(room => room.map(({ parts }) => parts.map(({ text }) => text).join(''))) }
}

/** `value` with each of its parts, and itself, replaced by each of those that are wrong there; a part that is left out as well. */
function* broken(value) {
  yield* PARTS
  if (!value || typeof value !== 'object') return
  for (const name of Object.keys(value)) {
    for (const part of broken(value[name])) yield Array.isArray(value) ? Object.assign([...value], { [name]: part }) : { ...value, [name]: part }
  }
}

/** A device that was there for a while: two conversations, a name, and messages that wait and that failed. */
async function used() {
  const world = new World()
  const alice = await world.online('alice')
  world.server.profiles.set('bob', { nickname: 'Bob', avatar: '/v1/avatars/1' })
  world.server.say('bob', 'alice', 'b1', 'b2')
  alice.chat.send('carol', 'c1')
  await world.tick(50)
  alice.chat.recall('carol', 1)
  alice.chat.user('bob')
  await world.tick(3000)
  world.server.answers = frame => (frame.message === 'refused' ? { type: 'error', status: 403, error: 'blocked', message: 'no' } : undefined)
  alice.chat.send('bob', 'refused')
  await world.tick(50)
  world.server.isUp = false
  world.server.cut()
  await world.tick(10)
  alice.chat.send('bob', 'waits')
  alice.chat.send('carol', 'waits too')
  alice.app.on.hide()
  await world.tick(3000)
  alice.kill()
  return { world, alice, items: new Map(alice.storage.items) }
}

for (const name of ['chats', 'outbox', 'users', 'token', 'device']) {
  test(`${name}: whatever part of it is broken, the pages draw, and after the next sync they are whole`, async t => {
    const { world, alice, items } = await used()
    let count = 0
    for (const value of broken(JSON.parse(items.get(`hongyan.${name}`)))) {
      count++
      world.server.isUp = false
      alice.kill()
      alice.storage.items = new Map(items).set(`hongyan.${name}`, JSON.stringify(value) ?? '')
      const what = JSON.stringify(value)
      // It may have been in the storage of a client that has not signed in.
      assert.doesNotThrow(() => alice.start({ isStopped: true }), what)
      assert.doesNotThrow(() => draw(alice), what)
      // A mark that is too far would hide what comes.
      if (count % 7 && name === 'chats' && !/_seq":7/.test(what)) continue
      world.server.isUp = true
      alice.chat.start()
      await world.tick(31_000)
      assert.equal(alice.chat.state, 'online', what)
      for (const peer of ['bob', 'carol']) {
        const opened = alice.chat.open(peer)
        await world.tick(50)
        await opened
      }
      const { rows, rooms } = draw(alice)
      assert.deepEqual(rows.map(([peer]) => peer).sort(), ['bob', 'carol'], what)
      assert.ok(rooms.some(room => room.includes('b2')), what)
      // The server would have counted these, and ended the session at the tenth.
      const peers = world.server.heard.flatMap(({ to_user_openid, conversations }) => [to_user_openid || 'bob', ...Object.keys(conversations || {})])
      assert.ok(peers.every(isOpenid), what)
      if (name !== 'outbox') assert.ok(rooms.some(room => room.includes('waits')), what)
    }
    t.diagnostic(`figure: ${count} broken ${name}`)
  })
}

test('rows that older releases have stored: what can go out does, the rest is not in the way', async () => {
  const world = new World()
  const alice = world.device('alice')
  const entry = (id, more) => ({ client_msg_id: id, type: 'text', message: id, extra: {}, sent_at: 1, mine: true, seq: 0, state: 'sending', ...more })
  const outbox = [
    [null, [entry('nobody')]], ['user.1', [entry('dot')]], ['张三', [entry('name')]], [undefined, [entry('undefined')]],
    ['bob', [entry('good'), entry('blank', { message: '' }), entry('heart', { type: 'heart' }), entry('deep', { extra: null }), null, entry('late')]],
  ]
  const rows = [undefined, 'user.1', '张三', ''].map(peer => ({ peer, last_seq: 1, to: 1, window: [{ ...entry('w'), seq: 1 }] }))
  alice.storage.items.set('hongyan.outbox', JSON.stringify(outbox)).set('hongyan.chats', JSON.stringify({ cursor: null, stored: rows }))
  alice.start()
  assert.deepEqual(draw(alice).rows.map(([peer]) => peer), ['bob'])
  await world.tick(50)
  assert.deepEqual([alice.chat.state, alice.texts('bob'), alice.states('bob')], ['online', ['good', 'late'], ['sent', 'sent']])
  // And they are gone from the storage.
  await world.tick(3000)
  for (const text of alice.storage.items.values()) assert.doesNotMatch(text, /user\.1|张三|nobody|blank|heart/)
})

test('a row that was left out is fetched again, and the others are not', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.say('bob', 'alice', 'b1', 'b2')
  world.server.say('carol', 'alice', 'c1')
  await world.tick(3000)
  // More happens than a sync reaches back.
  for (let i = 0; i < 10; i++) world.server.say('dave', 'alice', 'd')
  await world.tick(3000)
  alice.chat.refresh()
  await world.tick(3000)
  alice.kill()
  const chats = JSON.parse(alice.storage.get('hongyan.chats'))
  chats.stored.find(({ peer }) => peer === 'bob').unread = 'two'
  alice.storage.set('hongyan.chats', JSON.stringify(chats))
  alice.start()
  assert.deepEqual(draw(alice).rows.map(([peer]) => peer).sort(), ['carol', 'dave'])
  await world.tick(500)
  assert.deepEqual(alice.chat.conversations().map(({ peer, unread }) => [peer, unread]).sort(), [['bob', 2], ['carol', 1], ['dave', 10]])
})
