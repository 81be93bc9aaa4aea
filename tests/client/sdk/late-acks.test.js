'use strict'

/** A message is answered as `unavailable` when its time is over; where its commit succeeds after that, an ack without an `id` says so. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { World } = require('./world.js')

/** The server answers texts to bob so, `times` times, and stores them `after` so many milliseconds. */
function slow(world, after, { times = 1, retry_after_ms = 1000, ack: changes = {} } = {}) {
  world.server.answers = (frame, session) => {
    if (frame.type !== 'text' || frame.to_user_openid !== 'bob' || times-- <= 0) return
    world.clock.setTimeout(() => {
      const { id, to_user_openid, ...draft } = frame
      const { event, duplicate } = world.server.append('alice', 'bob', draft, session)
      const { seq, sent_at, client_msg_id } = event
      session.deliver({ type: 'ack', status: 200, client_msg_id, to_user_openid, seq, sent_at, duplicate, ...changes })
    }, after)
    return { type: 'error', status: 503, error: 'unavailable', retry_after_ms }
  }
}

test('what is stored after all while it waits to be sent again is sent, and not sent again', async () => {
  const world = new World()
  const alice = await world.online('alice')
  slow(world, 400)
  alice.chat.send('bob', '1')
  alice.chat.send('bob', '2')
  await world.tick(300)
  assert.deepEqual(alice.states('bob'), ['sending', 'sending'])
  await world.tick(200)
  assert.deepEqual(alice.states('bob'), ['sent', 'sending'])
  await world.tick(5000)
  assert.deepEqual(world.heard('text').map(frame => frame.message), ['1', '2'])
  assert.deepEqual([alice.texts('bob'), alice.states('bob')], [['1', '2'], ['sent', 'sent']])
  // Nor after a restart.
  alice.start()
  await world.tick(5000)
  assert.equal(world.heard('text').length, 2)
  assert.deepEqual(alice.texts('bob'), ['1', '2'])
})

test('the answer to a message that went out again and the late word of its first time are one message', async () => {
  const world = new World()
  const alice = await world.online('alice')
  slow(world, 1020)
  // Sent again after 1000 ms, and told of as stored while that is under way.
  world.server.faults = frame => [frame.type === 'ack' && frame.id ? { ...frame, delay: 100 } : frame]
  alice.chat.send('bob', 'once')
  await world.tick(1050)
  assert.equal(world.heard('text').length, 2)
  assert.deepEqual(alice.states('bob'), ['sent'])
  await world.tick(5000)
  assert.deepEqual([alice.texts('bob'), alice.states('bob'), world.heard('text').length], [['once'], ['sent'], 2])
  assert.equal(alice.chat.messages('bob')[0].seq, 1)
})

test('an ack that nobody waits for changes nothing', async () => {
  const world = new World()
  const alice = await world.online('alice')
  alice.chat.send('bob', 'x')
  await world.tick(100)
  const [session] = world.server.sessions
  const before = alice.chat.messages('bob')
  for (const odd of [{ client_msg_id: 'unknown', to_user_openid: 'bob' }, { client_msg_id: before[0].client_msg_id, to_user_openid: 'carol' }]) {
    session.deliver({ type: 'ack', status: 200, seq: 9, sent_at: 1, duplicate: false, ...odd })
  }
  await world.tick(1000)
  assert.deepEqual(alice.chat.messages('bob'), before)
  assert.deepEqual([alice.chat.state, alice.chat.conversations().map(row => row.peer)], ['online', ['bob']])
})

test('what comes late behind messages that are not here yet stands in its place once they are', async () => {
  const world = new World()
  const alice = await world.online('alice')
  slow(world, 200, { retry_after_ms: 30000 })
  alice.chat.send('bob', 'mine')
  // Never pushed to this one.
  world.server.faults = frame => (frame.from_user_openid === 'bob' ? [] : [frame])
  await world.tick(100)
  world.server.say('bob', 'alice', 'their')
  await world.tick(200)
  world.server.reset()
  await world.tick(5000)
  assert.deepEqual([alice.texts('bob'), alice.states('bob')], [['their', 'mine'], ['received', 'sent']])
  assert.equal(world.heard('text').length, 1)
})
