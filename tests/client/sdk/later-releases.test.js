'use strict'

/** A server of a later release: what it has and this client does not know is no message, and costs nothing. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { World } = require('./world.js')

/** An event that changes the message `of_seq`. */
const event = (of_seq, type = 'reaction') => ({ type, of_seq, message: '👍', client_msg_id: `e${Math.random()}` })
const totals = ({ chat }) => [chat.unread(), ...chat.conversations().map(({ peer, unread, last }) => [peer, unread, last && last.message])]

/** Alice with two unread messages of Bob's, and a newer one of Carol's. */
async function chatting() {
  const world = new World()
  const alice = await world.online('alice')
  world.server.say('bob', 'alice', 'one', 'two')
  await world.tick(10)
  world.server.say('carol', 'alice', 'hi')
  await world.tick(3000)
  return { world, alice }
}
const AS_IT_WAS = [3, ['carol', 1, 'hi'], ['bob', 2, 'two']]

test('an event of an unknown type that names a message by of_seq, live: nothing is drawn, counted, told or moved up', async () => {
  const { world, alice } = await chatting()
  for (const [from, to] of [['bob', 'alice'], ['alice', 'bob']]) {
    world.server.append(from, to, event(2))
    await world.tick(3000)
    assert.deepEqual([alice.texts('bob'), totals(alice)], [['one', 'two'], AS_IT_WAS], from)
  }
  assert.equal(alice.of('incoming').length, 3)
  // It has its place: what follows leaves no hole, and nothing is asked for.
  const syncs = world.heard('sync').length
  world.server.say('bob', 'alice', 'three')
  await world.tick(3000)
  assert.deepEqual([alice.texts('bob'), totals(alice)[0], world.heard('sync').length], [['one', 'two', 'three'], 4, syncs])
  assert.equal(world.server.member('alice', 'bob').recv, 5)
})

test('the same by a sync, after a restart, and when the chat is opened', async () => {
  const { world, alice } = await chatting()
  alice.kill()
  for (let n = 0; n < 3; n++) world.server.append('bob', 'alice', event(1))
  alice.start({ isStopped: true })
  assert.deepEqual(totals(alice), AS_IT_WAS)
  alice.chat.start()
  await world.tick(3000)
  assert.deepEqual([alice.texts('bob'), totals(alice), alice.of('incoming')], [['one', 'two'], AS_IT_WAS, []])
  alice.start({ isStopped: true })
  assert.deepEqual([alice.texts('bob'), totals(alice)], [['one', 'two'], AS_IT_WAS])
  alice.chat.start()
  await world.tick(50)
  await alice.chat.open('bob')
  await world.tick(3000)
  assert.deepEqual([alice.chat.unread(), world.server.unread('alice', 'bob')], [1, 0])
})

test('where such events are all that is known, the chat is in the list without a word, and history goes on to the messages', async () => {
  const world = new World()
  world.server.say('bob', 'alice', 'one', 'two')
  for (let n = 0; n < 50; n++) world.server.append('bob', 'alice', event(1))
  const alice = await world.online('alice')
  assert.deepEqual([alice.texts('bob'), totals(alice)], [[], [2, ['bob', 2, undefined]]])
  const opened = alice.chat.open('bob')
  await world.tick(3000)
  await opened
  assert.deepEqual([alice.texts('bob'), totals(alice)], [['one', 'two'], [0, ['bob', 0, 'two']]])
})

test('a recall before such an event is still the last thing that is shown', async () => {
  const world = new World()
  world.server.say('bob', 'alice', 'one', 'two')
  const alice = await world.online('alice')
  world.server.append('bob', 'alice', { type: 'recall', target: 2 })
  world.server.append('bob', 'alice', event(1))
  await world.tick(3000)
  alice.kill()
  world.server.clear('alice', 'bob', 2)
  alice.start()
  await world.tick(50)
  assert.deepEqual(alice.chat.conversations().map(({ last }) => [last.type, last.recalled]), [['recall', true]])
})

test('a type that is known, and one that is not but names no message, are drawn as ever', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.append('bob', 'alice', { type: 'dice', message: 'six' })
  world.server.append('bob', 'alice', event(1, 'text'))
  await world.tick(10)
  assert.deepEqual([alice.texts('bob'), totals(alice)], [['six', '👍'], [2, ['bob', 2, '👍']]])
  // Nobody else's events are made by what an app sends along.
  alice.chat.send('bob', 'mine', { extra: { of_seq: 1 } })
  await world.tick(10)
  assert.deepEqual(alice.texts('bob'), ['six', '👍', 'mine'])
})

test('frames of an unknown type that have no seq end nothing and show nothing', async () => {
  const { world, alice } = await chatting()
  const frames = [
    { type: 'stream', from_user_openid: 'bob', to_user_openid: 'alice', of_seq: 2, offset: 0, append: 'more' },
    { type: 'deleted', peer: 'bob', ranges: [[1, 1]] },
    { type: 'erased', peer: 'bob', now: 'erased-0123456789abcdef' },
    { type: 'readers', peer: 'bob', counts: [{ seq: 1, read: 1, of: 1 }] },
    { type: 'presence', peers: [{ peer: 'bob', state: 'foreground' }] },
  ]
  const states = alice.of('state').length
  for (const frame of frames) world.server.push('alice', frame)
  await world.tick(3000)
  assert.deepEqual([alice.of('state').length, alice.texts('bob'), totals(alice)], [states, ['one', 'two'], AS_IT_WAS])
})

test('features: what the server says that it has, anew at each connection; nothing of an older one', async () => {
  const world = new World()
  const alice = world.device('alice')
  assert.equal(alice.start().features, undefined)
  const seen = []
  for (const features of [['media', 'streams'], [], undefined]) {
    world.server.features = features
    world.server.cut()
    await world.tick(31_000)
    seen.push(alice.chat.features)
  }
  assert.deepEqual(seen, [['media', 'streams'], [], []])
})
