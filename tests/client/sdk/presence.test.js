'use strict'

/** Who is there: the part that watches it. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { extras } = require('../../../miniprogram/sdk/extras.js')
const { World } = require('./world.js')

/** A server that knows who is there. */
function worldWith(states) {
  const world = new World()
  world.server.features = ['presence']
  world.server.answers = ({ type, peers }) => type === 'presence' && { type, status: 200, peers: peers.map(peer => ({ peer, ...(states[peer] || { state: 'unknown' }) })) }
  return world
}
const asked = world => world.heard('presence').map(frame => frame.peers.join())
async function watching(world, ...peers) {
  const alice = await world.online('alice', { parts: [extras] })
  const heard = []
  alice.chat.on('presence', ({ peers: changed }) => heard.push(changed.join()))
  alice.chat.watchPresence(peers)
  await world.tick(50)
  return { alice, chat: alice.chat, heard }
}

test('who is watched is known, and what changes is told', async () => {
  const world = worldWith({ bob: { state: 'foreground' }, carol: { state: 'away', last_seen: 1795487100000 } })
  const { chat, heard } = await watching(world, 'bob', 'carol', 'bob')
  assert.deepEqual([chat.presence('bob').state, chat.presence('carol'), chat.presence('dan')], ['foreground', { state: 'away', last_seen: 1795487100000 }, { state: 'unknown' }])
  world.server.push('alice', { type: 'presence', status: 200, peers: [{ peer: 'bob', state: 'background' }, { peer: 'dan', state: 'foreground' }] })
  await world.tick(50)
  assert.deepEqual([chat.presence('bob').state, chat.presence('dan').state, heard, asked(world)], ['background', 'unknown', ['bob,carol', 'bob'], ['bob,carol']])
})

test('another list replaces it, and what is not watched is forgotten', async () => {
  const world = worldWith({ bob: { state: 'foreground' }, carol: { state: 'foreground' } })
  const { chat, heard } = await watching(world, 'bob')
  chat.watchPresence(['carol'])
  // The one before it has no answer yet: only the last one is asked for.
  chat.watchPresence(['dan'])
  chat.watchPresence(['carol', 'dan'])
  assert.equal(chat.presence('bob').state, 'unknown')
  await world.tick(100)
  assert.deepEqual([chat.presence('carol').state, heard, asked(world)], ['foreground', ['bob', 'bob', 'carol', 'carol,dan'], ['bob', 'carol', 'carol,dan']])
  assert.throws(() => chat.watchPresence(['a.b']), { word: 'bad_request' })
  chat.watchPresence(Array.from({ length: 201 }, (_, n) => `u${n}`))
  await world.tick(50)
  assert.equal(world.heard('presence').pop().peers.length, 200)
})

test('without a connection nothing is known; on the next one it is asked for anew', async () => {
  const world = worldWith({ bob: { state: 'foreground' } })
  const { alice, chat, heard } = await watching(world, 'bob')
  world.server.isUp = false
  world.server.cut('alice')
  await world.tick(20)
  assert.deepEqual([chat.presence('bob').state, heard], ['unknown', ['bob', 'bob']])
  world.server.isUp = true
  await world.tick(5000)
  assert.deepEqual([alice.chat.state, chat.presence('bob').state, asked(world)], ['online', 'foreground', ['bob', 'bob']])
  chat.stop()
  assert.equal(chat.presence('bob').state, 'unknown')
})

test('who was refused for a while asks again then, and an older server is not asked', async () => {
  const world = worldWith({})
  const { answers } = world.server
  world.server.answers = ({ type }) => type === 'presence' && { type: 'error', status: 429, error: 'rate_limited', message: 'wait', retry_after_ms: 1000 }
  const { chat } = await watching(world, 'bob')
  world.server.answers = frame => (frame.type === 'presence' && answers({ ...frame, peers: ['bob'] })) || answers(frame)
  await world.tick(900)
  assert.deepEqual(asked(world), ['bob'])
  await world.tick(200)
  assert.deepEqual(asked(world), ['bob', 'bob'])
  assert.equal(chat.presence('bob').state, 'unknown')

  const older = new World()
  await watching(older, 'bob')
  assert.deepEqual(asked(older), [])
})
