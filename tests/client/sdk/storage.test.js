'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { World } = require('./world.js')

const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => `${from + i}`)

test('a restart with a full outbox: everything goes out once, in the order it was written', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.faults = frame => (frame.type === 'ack' ? [] : [frame])
  for (const text of numbers(1, 100)) alice.chat.send('bob', text)
  alice.chat.send('carol', 'c')
  assert.throws(() => alice.chat.send('bob', 'one too many'), { word: 'storage_full' })
  await world.tick(5)
  assert.equal(world.server.conversation('alice', 'bob').events.length, 1)
  const keys = alice.chat.messages('bob').map(m => m.key)
  alice.kill()
  world.server.reset()
  alice.start()
  // They are there before anything was fetched, those on their way as well.
  assert.deepEqual(alice.texts('bob'), numbers(1, 100))
  assert.deepEqual(new Set(alice.states('bob')), new Set(['sending']))
  assert.deepEqual(alice.chat.messages('bob').map(m => m.key), keys)
  await world.tick(1000)
  assert.deepEqual(alice.texts('bob'), numbers(1, 100))
  assert.deepEqual(new Set(alice.states('bob')), new Set(['sent']))
  assert.deepEqual(world.server.conversation('alice', 'bob').events.map(e => e.fields.message), numbers(1, 100))
  assert.deepEqual(alice.chat.messages('bob').map(m => m.key), keys)
  alice.kill()
  alice.start()
  await world.tick(1000)
  assert.equal(world.heard('text').length, 101, 'what the sync brought did not go out again')
})

test('a failed message is kept with its error over a restart', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.answers = frame => (frame.type === 'text' ? { type: 'error', status: 403, error: 'blocked', message: 'no' } : undefined)
  const { client_msg_id } = alice.chat.send('bob', 'x')
  await world.tick(10)
  world.server.reset()
  alice.start()
  await world.tick(100)
  const [{ state, error }] = alice.chat.messages('bob')
  assert.deepEqual([state, error.word, error.message], ['failed', 'blocked', 'no'])
  alice.chat.retry('bob', client_msg_id)
  await world.tick(10)
  assert.deepEqual(alice.states('bob'), ['sent'])
})

test('what is written before anybody has signed in is kept, and is the first user\'s', async () => {
  const world = new World()
  const alice = world.device('alice')
  world.server.isUp = false
  alice.start()
  alice.chat.send('bob', 'early')
  await world.tick(1000)
  assert.equal(alice.chat.openid, '')
  alice.start()
  assert.deepEqual(alice.texts('bob'), ['early'])
  world.server.isUp = true
  await world.tick(31_000)
  assert.deepEqual([alice.states('bob'), world.heard('text').length], [['sent'], 1])
})

test('the list, the last pages and the marks are there after a restart, before anything was fetched', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.say('carol', 'alice', 'c1', 'c2')
  await world.tick(10)
  world.server.say('bob', 'alice', ...numbers(1, 50))
  await world.tick(10)
  alice.chat.send('bob', '51')
  await world.tick(10)
  world.server.say('bob', 'alice', '52')
  world.server.mark('bob', 'alice', 'read', 51)
  world.server.tellMark('bob', 'alice', 'read')
  await world.tick(2000)
  const before = alice.chat.conversations()
  alice.kill()
  world.server.isUp = false
  alice.start()
  await world.tick(100)
  assert.deepEqual(alice.chat.conversations(), before)
  assert.deepEqual(before.map(c => [c.peer, c.last.message, c.unread]), [['bob', '52', 1], ['carol', 'c2', 2]])
  assert.deepEqual(alice.texts('bob'), numbers(33, 52))
  assert.equal(alice.chat.messages('bob')[18].state, 'read')
  assert.deepEqual([alice.chat.unread(), alice.of('unread')[0].total], [3, 3])
  assert.equal(alice.chat.hasOlder('bob'), true)
  // And only what is new is asked for.
  world.server.isUp = true
  world.server.say('bob', 'alice', '53')
  await world.tick(31_000)
  assert.deepEqual(alice.texts('bob'), numbers(33, 53))
  assert.equal(alice.chat.unread(), 4)
  assert.ok(world.heard('sync').pop().since)
})

test('killed at any moment, the app has never a cursor that promises more than it has', async () => {
  const world = new World()
  const alice = await world.online('alice')
  let said = 0
  for (let i = 0; i < 40; i++) {
    world.server.say(i % 3 ? 'bob' : 'carol', 'alice', `${++said}`)
    await world.tick(i * 37 % 700)
    alice.start()
    await world.tick(i % 5 ? 50 : 2)
  }
  await world.tick(2000)
  for (const peer of ['bob', 'carol']) {
    const all = world.server.conversation('alice', peer).events.map(e => e.fields.message)
    assert.deepEqual(alice.texts(peer), all.slice(-alice.texts(peer).length))
    assert.ok(alice.texts(peer).length)
  }
})

test('a hidden app has written everything', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.say('bob', 'alice', 'x')
  await world.tick(5)
  alice.app.on.hide()
  world.server.isUp = false
  alice.start()
  assert.deepEqual(alice.texts('bob'), ['x'])
})

test('a full storage: the cache makes room for what was not sent, and what finds none is refused at once', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.say('bob', 'alice', ...numbers(1, 30).map(text => text.padEnd(500, 'x')))
  await world.tick(2000)
  const cached = alice.storage.get('hongyan.chats').length
  assert.ok(cached > 10_000)
  const used = [...alice.storage.items.values()].reduce((sum, text) => sum + text.length, 0)
  alice.storage.room = used + 2000
  world.server.isUp = false
  world.server.cut()
  await world.tick(5)
  let sent = 0
  assert.throws(() => {
    for (;; sent++) alice.chat.send('bob', 'y'.repeat(1000))
  }, { word: 'storage_full' })
  assert.ok(sent >= 8, `${sent}`)
  assert.equal(alice.texts('bob').length, 30 + sent)
  // What was taken is safe, and nothing else is.
  alice.kill()
  alice.start()
  assert.deepEqual(alice.states('bob'), Array(sent).fill('sending'))
  world.server.isUp = true
  await world.tick(31_000)
  assert.equal(world.server.conversation('alice', 'bob').events.length, 30 + sent)
  // A cache that finds no room is none; the app goes on.
  alice.storage.room = 0
  world.server.say('bob', 'alice', 'still here')
  await world.tick(5000)
  assert.equal(alice.texts('bob').pop(), 'still here')
})

test('a storage full of nonsense is an empty one', async () => {
  const world = new World()
  const alice = world.device('alice')
  for (const name of ['chats', 'outbox', 'token', 'users', 'device']) alice.storage.items.set(`hongyan.${name}`, '{"half')
  alice.start()
  await world.tick(50)
  assert.equal(alice.chat.state, 'online')
})

test('a key stays below what WeChat allows; a list that does not fit is fetched anew', async () => {
  const world = new World()
  for (let i = 0; i < 800; i++) world.server.say(`peer${i}`, 'alice', '鸿'.repeat(300))
  for (let i = 0; i < 40; i++) world.server.say(`peer${i}`, 'alice', ...numbers(1, 20).map(text => text.padEnd(900, '雁')))
  const alice = await world.online('alice')
  for (let i = 0; i < 40; i++) {
    const opened = alice.chat.open(`peer${i}`)
    await world.tick(10)
    await opened
  }
  alice.chat.leave()
  await world.tick(2000)
  assert.equal(alice.chat.conversations().length, 800)
  for (const [key, text] of alice.storage.items) assert.ok(Buffer.byteLength(text) < 1_000_000, `${key}: ${Buffer.byteLength(text)}`)
  const unread = alice.chat.unread()
  alice.start()
  assert.ok(alice.chat.conversations().length < 800)
  await world.tick(500)
  assert.deepEqual([alice.chat.conversations().length, alice.chat.unread()], [800, unread])
})

test('a chat that nobody looks at does not grow without end', async () => {
  const world = new World()
  const alice = await world.online('alice')
  for (let i = 0; i < 30; i++) {
    world.server.say('bob', 'alice', ...numbers(i * 10 + 1, i * 10 + 10))
    await world.tick(10)
  }
  assert.deepEqual(alice.texts('bob'), numbers(201, 300))
  assert.equal(alice.chat.unread(), 300)
})
