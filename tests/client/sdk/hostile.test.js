'use strict'

/** A server, a proxy or a storage that is out of its mind: the client says so, tries again in its time, and keeps what it has. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { World } = require('./world.js')

/** What a socket says as it stands, in place of a frame that is right. */
async function saying(text) {
  const world = new World()
  const alice = await world.online('alice')
  world.server.say('bob', 'alice', 'hi')
  alice.chat.send('bob', 'there')
  await world.tick(2000)
  for (const session of world.server.sessions) session.on.message(text)
  return { world, alice }
}

for (const text of ['', 'no JSON', 'null', '{"type":"sync"}', '{"type":"sync","conversations":[null]}', '{"type":"sync","conversations":[{"peer":"bob"}]}']) {
  test(`a frame that is none: ${text}`, async () => {
    const { world, alice } = await saying(text)
    await world.tick(1)
    const { state, word, error } = alice.of('state').pop()
    assert.deepEqual([state, error.word, word], ['waiting', 'bad_frame', undefined])
    await world.tick(2000)
    assert.deepEqual([alice.chat.state, alice.texts('bob')], ['online', ['hi', 'there']])
  })
}

test('an init that says nothing changes nothing', async () => {
  const { world, alice } = await saying('{"type":"init"}')
  alice.chat.send('bob', 'still')
  await world.tick(60_000)
  assert.deepEqual([alice.chat.state, alice.states('bob')], ['online', ['received', 'sent', 'sent']])
})

test('a server that never comes to its senses is asked less and less, and a broken answer changes nothing', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.say('bob', 'alice', 'one', 'two')
  await world.tick(2000)
  const holes = [[1, 3], ['1'], [1e300], [-1], [null], [{}], [undefined], [3, 2], [2.5]]
  for (const seqs of holes) {
    world.server.cut()
    await world.tick(1)
    let syncs = 0
    world.server.answers = frame => {
      if (frame.type !== 'sync') return
      syncs++
      const messages = seqs.map(seq => ({ type: 'text', message: 'x', from_user_openid: 'bob', to_user_openid: 'alice', seq, sent_at: 1 }))
      return { type: 'sync', status: 200, conversations: [{ peer: 'bob', last_seq: 2, messages }], cursor: '{"began":0,"from":0}', has_more: false }
    }
    await world.tick(300_000)
    assert.ok(syncs < 60, `${syncs} for ${JSON.stringify(seqs)}`)
    assert.deepEqual(alice.texts('bob'), ['one', 'two'])
    world.server.reset()
    await world.tick(31_000)
    assert.deepEqual([alice.chat.state, alice.texts('bob')], ['online', ['one', 'two']], JSON.stringify(seqs))
  }
})

test('numbers that are too large for a timer are no zero', async () => {
  const world = new World()
  world.server.faults = frame => [frame.type === 'init' ? { ...frame, heartbeat_ms: 1e12 } : frame]
  const alice = await world.online('alice')
  await world.tick(60_000)
  assert.equal(world.heard('heart').length, 0)
  let connections = 0
  world.server.refusal = () => {
    connections++
    return { error: 'rate_limited', code: 4005, reason: 'overloaded retry_ms=99999999999' }
  }
  world.server.cut()
  await world.tick(60_000)
  assert.deepEqual([connections, alice.chat.state], [1, 'waiting'])
})

test('a message that is refused without a time, or acked without a seq, does not go out in a storm', async () => {
  for (const answer of [{ type: 'error', status: 503, error: 'unavailable' }, { type: 'ack', status: 200 }]) {
    const world = new World()
    const alice = await world.online('alice')
    world.server.answers = frame => (frame.type === 'text' ? answer : undefined)
    alice.chat.send('bob', 'x')
    await world.tick(10_000)
    assert.ok(world.heard('text').length < 12, `${world.heard('text').length}`)
    world.server.reset()
    await world.tick(31_000)
    assert.deepEqual([alice.texts('bob'), alice.states('bob')], [['x'], ['sent']])
  }
})

test('history that says there is more, and never has it, is asked once', async () => {
  const world = new World()
  const alice = await world.online('alice')
  for (const messages of [[], [{ type: 'text', message: 'x', from_user_openid: 'bob', to_user_openid: 'alice', seq: 1, sent_at: 1 }]]) {
    world.server.http = call => (call.path === '/v1/messages' ? { status: 200, body: { messages, has_more: true } } : undefined)
    const before = world.server.calls.length
    alice.chat.loadOlder('bob').catch(() => {})
    await world.tick(1000)
    assert.ok(world.server.calls.length - before <= 2, `${world.server.calls.length - before}`)
    alice.chat.loadOlder('bob').catch(() => {})
    await world.tick(1000)
    assert.ok(world.server.calls.length - before <= 3, `${world.server.calls.length - before}`)
  }
})

test('an answer of a proxy in place of the login costs nobody what is here', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.say('bob', 'alice', 'hi')
  await world.tick(2000)
  world.server.isUp = false
  world.server.cut()
  await world.tick(5)
  alice.chat.send('bob', 'unsent')
  world.server.isUp = true
  world.server.tokens.clear()
  for (const body of ['<html>sign in to this network</html>', undefined, null, {}, { openid: 'alice' }]) {
    world.server.http = call => (call.path === '/v1/login' ? { status: 200, body } : undefined)
    await world.tick(60_000)
    assert.deepEqual([alice.chat.openid, alice.texts('bob')], ['alice', ['hi', 'unsent']], JSON.stringify(body))
  }
  world.server.reset()
  await world.tick(31_000)
  assert.deepEqual(alice.states('bob'), ['received', 'sent'])
})

test('answers of another shape to a page’s calls: they reject, or are none', async () => {
  for (const body of [undefined, null, '<html>', {}, [], 7]) {
    const world = new World()
    const alice = await world.online('alice')
    world.server.http = () => ({ status: 200, body })
    alice.chat.user('bob')
    const older = assert.rejects(alice.chat.loadOlder('bob'))
    await world.tick(50)
    await older
    assert.deepEqual([alice.chat.state, alice.chat.user('bob')], ['online', { openid: 'bob', nickname: '', avatar: '' }])
  }
})

test('a storage that has something else under its names is an empty one', async () => {
  for (const text of ['{}', '[]', '7', '"x"', 'true', '[7]', '{"stored":7}', '{"stored":[null]}', '[["bob"]]']) {
    const world = new World()
    const alice = world.device('alice')
    for (const name of ['chats', 'outbox', 'users']) alice.storage.items.set(`hongyan.${name}`, text)
    alice.start()
    await world.tick(50)
    alice.chat.send('bob', 'x')
    await world.tick(50)
    assert.deepEqual([alice.chat.state, alice.states('bob')], ['online', ['sent']], text)
  }
})

test('a storage that is forbidden is none: what can be done without it goes on', async () => {
  const world = new World()
  const alice = world.device('alice')
  for (const name of ['get', 'set', 'remove']) alice.storage[name] = () => { throw new Error('access is denied') }
  alice.start()
  await world.tick(50)
  world.server.say('bob', 'alice', 'hi')
  await world.tick(50)
  assert.deepEqual([alice.chat.state, alice.texts('bob')], ['online', ['hi']])
  assert.throws(() => alice.chat.send('bob', 'x'), { word: 'storage_full' })
  const out = alice.chat.signOut()
  await world.tick(50)
  await out
  assert.deepEqual([alice.chat.openid, alice.texts('bob'), world.server.tokens.size], ['', [], 0])
})

test('a page that stops the client when a message comes, in the middle of a sync, has it stopped', async () => {
  const world = new World()
  const alice = await world.online('alice')
  alice.chat.on('incoming', () => alice.chat.stop())
  world.server.faults = frame => (frame.type === 'text' ? [] : [frame])
  world.server.say('bob', 'alice', 'hi')
  alice.chat.refresh().catch(() => {})
  await world.tick(1000)
  assert.deepEqual([alice.chat.state, world.server.sessions.size], ['stopped', 0])
  alice.chat.start()
  await world.tick(50)
  assert.deepEqual([alice.chat.state, world.server.sessions.size], ['online', 1])
})

test('peers of a kind that a later release may have are left out, and everything else goes on', async () => {
  const world = new World()
  const alice = await world.online('alice')
  const around = world.server.sync
  world.server.sync = function (session, frame) {
    const { deliver } = session
    const group = { peer: 'g:1', last_seq: 1, cleared_seq: 0, read_seq: 0, recv_seq: 0, unread: 1, messages: [] }
    session.deliver = answer => deliver.call(session, answer.conversations ? { ...answer, conversations: [group, ...answer.conversations] } : answer)
    around.call(this, session, frame)
    delete session.deliver
  }
  world.server.cut()
  world.server.say('bob', 'alice', 'hi')
  await world.tick(5000)
  const connections = alice.of('state').length
  for (const frame of [
    { type: 'text', message: 'x', from_user_openid: 'g:1', to_user_openid: 'alice', seq: 2, sent_at: 1 },
    { type: 'text', message: 'x', from_user_openid: 'alice', to_user_openid: 'g:1', seq: 3, sent_at: 1 },
    { type: 'typing', from_user_openid: 'g:1', to_user_openid: 'alice' },
    { type: 'read', from_user_openid: 'g:1', to_user_openid: 'alice', seq: 1 },
    { type: 'ack', to_user_openid: 'g:1', client_msg_id: 'x', seq: 3, sent_at: 1 },
    { type: 'cleared', peer: 'g:1', seq: 1 },
    { type: 'settings', peer: 'g:1', muted: true, pinned: true },
  ]) {
    world.server.push('alice', { status: 200, ...frame })
    await world.tick(100)
    assert.equal(alice.of('state').length, connections, frame.type)
  }
  // A field of a message is its sender's word, and names nobody.
  world.server.push('alice', { type: 'card', message: '', peer: 'carol', status: 200, from_user_openid: 'bob', to_user_openid: 'alice', seq: 2, sent_at: world.clock.now() })
  await world.tick(1000)
  assert.deepEqual([alice.chat.state, alice.chat.conversations().map(({ peer }) => peer), alice.states('bob')], ['online', ['bob'], ['received', 'received']])
  alice.chat.send('bob', 'still')
  alice.start()
  await world.tick(5000)
  assert.deepEqual([alice.chat.state, alice.texts('bob').pop()], ['online', 'still'])
})
