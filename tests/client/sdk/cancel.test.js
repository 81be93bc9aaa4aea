'use strict'

/** Taking back what was not sent yet. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { World } = require('./world.js')

const stored = device => JSON.parse(device.storage.get('hongyan.outbox') || '[]')

test('a message that waits is taken back for good: from the list, from the storage, and it never goes out', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.isUp = false
  world.server.cut()
  await world.tick(10)
  const [first, second, third] = ['1', '2', '3'].map(text => alice.chat.send('bob', text))
  alice.events.length = 0
  assert.equal(alice.chat.cancel('bob', second.client_msg_id), true)
  assert.equal(alice.chat.cancel('bob', second.client_msg_id), false, 'it is gone')
  assert.equal(alice.chat.cancel('carol', first.client_msg_id), false, 'it is not theirs')
  await world.tick(1)
  assert.deepEqual([alice.texts('bob'), alice.of('messages').map(({ peer }) => peer)], [['1', '3'], ['bob']])
  alice.start()
  assert.deepEqual(alice.texts('bob'), ['1', '3'])
  assert.equal(alice.chat.cancel('bob', third.client_msg_id), true, 'also after a restart')
  assert.deepEqual(stored(alice).map(([, entries]) => entries.length), [1])
  world.server.isUp = true
  await world.tick(31_000)
  assert.deepEqual(world.heard('text').map(({ message }) => message), ['1'])
  assert.deepEqual([alice.texts('bob'), alice.states('bob'), stored(alice)], [['1'], ['sent'], []])
})

test('a message that was on a socket is not taken back, the one that waits behind it is', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.faults = frame => (frame.type === 'ack' ? [] : [frame])
  const [first, second] = ['1', '2'].map(text => alice.chat.send('bob', text))
  assert.deepEqual([alice.chat.cancel('bob', first.client_msg_id), alice.chat.cancel('bob', second.client_msg_id)], [false, true])
  await world.tick(5)
  assert.equal(world.server.conversation('alice', 'bob').events.length, 1, 'the server has it, and the client does not know')
  assert.equal(alice.chat.cancel('bob', first.client_msg_id), false)
  world.server.isUp = false
  world.server.cut()
  await world.tick(10)
  assert.equal(alice.chat.cancel('bob', first.client_msg_id), false, 'nor without a connection')
  alice.start()
  assert.equal(alice.chat.cancel('bob', first.client_msg_id), false, 'nor after a restart')
  world.server.isUp = true
  world.server.reset()
  await world.tick(31_000)
  assert.deepEqual([alice.texts('bob'), alice.states('bob')], [['1'], ['sent']])
  assert.equal(alice.chat.cancel('bob', first.client_msg_id), false, 'nor when it is sent')
})

test('one that waited and then went out is not taken back after a kill in that moment', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.isUp = false
  world.server.cut()
  await world.tick(10)
  const { client_msg_id } = alice.chat.send('bob', 'x')
  world.server.isUp = true
  world.server.faults = frame => (frame.type === 'ack' ? [] : [frame])
  await world.tick(1000)
  assert.equal(world.heard('text').length, 1)
  alice.start()
  assert.equal(alice.chat.cancel('bob', client_msg_id), false)
  assert.deepEqual(alice.texts('bob'), ['x'])
})

test('of a failed message, and of one that an older release has stored, nothing is taken back', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.answers = frame => (frame.type === 'text' ? { type: 'error', status: 403, error: 'blocked', message: 'no' } : undefined)
  const { client_msg_id } = alice.chat.send('bob', 'x')
  await world.tick(10)
  assert.deepEqual([alice.states('bob'), alice.chat.cancel('bob', client_msg_id)], [['failed'], false])
  alice.kill()
  world.server.isUp = false
  alice.storage.set('hongyan.outbox', JSON.stringify([['bob', [{ client_msg_id: 'old', type: 'text', message: 'y', extra: {}, sent_at: 1, mine: true, seq: 0, state: 'sending' }]]]))
  alice.start()
  assert.deepEqual([alice.chat.cancel('bob', 'old'), alice.texts('bob')], [false, ['y']])
})

test('a message that was refused and is resent without a connection waits: it is taken back until it goes out', async () => {
  const world = new World()
  const alice = await world.online('alice')
  const refuse = error => {
    world.server.answers = frame => (frame.type === 'text' ? { type: 'error', message: 'no', ...error } : undefined)
  }
  const refused = [{ status: 403, error: 'blocked' }, { status: 429, error: 'rate_limited', retry_after_ms: 3_600_000 }]
  // Whether this one was stored is not known.
  const unknown = { status: 503, error: 'unavailable', retry_after_ms: 3_600_000 }
  const failed = []
  for (const error of [...refused, unknown]) {
    refuse(error)
    failed.push(alice.chat.send('bob', error.error).client_msg_id)
    await world.tick(10)
  }
  assert.deepEqual(alice.states('bob'), ['failed', 'failed', 'failed'])
  world.server.isUp = false
  world.server.cut()
  await world.tick(10)
  for (const id of failed) assert.equal(alice.chat.retry('bob', id), true)
  alice.start()
  assert.deepEqual(failed.map(id => alice.chat.cancel('bob', id)), [true, true, false])
  assert.deepEqual(alice.texts('bob'), ['unavailable'])
  // Where it goes out at once it is too late.
  world.server.isUp = true
  await world.tick(31_000)
  refuse(refused[0])
  const { client_msg_id } = alice.chat.send('bob', 'again')
  await world.tick(10)
  world.server.reset()
  alice.chat.retry('bob', client_msg_id)
  assert.equal(alice.chat.cancel('bob', client_msg_id), false)
})

test('with its conversation goes what failed and what waits; what may have gone out stays', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.say('bob', 'alice', 'hi')
  await world.tick(1000)
  // The socket takes a message and no answer comes; behind it one waits, and another is written while the server is asked.
  world.server.answers = frame => (frame.type === 'text' ? null : undefined)
  alice.chat.send('bob', 'gone out')
  alice.chat.send('bob', 'waits')
  const removed = alice.chat.removeConversation('bob')
  alice.chat.send('bob', 'late')
  await world.tick(100)
  await removed
  assert.deepEqual([alice.texts('bob'), stored(alice)[0][1].map(({ message }) => message)], [['gone out'], ['gone out']])
  world.server.reset()
  world.server.cut()
  await world.tick(31_000)
  assert.deepEqual(world.server.conversation('alice', 'bob').events.map(({ fields }) => fields.message), ['hi', 'gone out'])
})
