'use strict'

const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const { test } = require('node:test')
const { World } = require('./world.js')

/** States in the order they were told, without the details. */
const states = device => device.of('state').map(({ state }) => state)

test('signs in, connects with the token in the header, and keeps both and the device over a restart', async () => {
  const world = new World()
  const alice = world.device('alice')
  const seen = []
  const { connect } = world.server
  world.server.connect = (socket, on) => {
    seen.push(socket)
    return connect.call(world.server, socket, on)
  }
  const chat = alice.start()
  assert.deepEqual([chat.state, chat.openid], ['connecting', ''])
  await world.tick(50)
  assert.deepEqual([states(alice), chat.openid], [['connecting', 'online'], 'alice'])
  await world.tick(2000)
  alice.start()
  assert.equal(alice.chat.openid, 'alice')
  await world.tick(50)
  const [first, second] = seen
  assert.match(first.url, /^ws:\/\/chat\.example\/alice\?device=[a-z0-9]{10,20}$/)
  assert.deepEqual(second, first)
  assert.equal(first.token, 'token-1')
  assert.equal(world.server.calls.filter(call => call.path === '/v1/login').length, 1)
})

/** code, reason, what an error frame before it says, and what is to happen: a state, a word, and how long it waits at most. */
const CLOSES = [
  [1000, '', undefined, 'waiting', 'offline', [0, 500]],
  [1002, 'protocol_error', undefined, 'waiting', 'offline', [0, 500]],
  [1003, 'unsupported', undefined, 'waiting', 'offline', [0, 500]],
  [1006, '', undefined, 'waiting', 'offline', [0, 500]],
  [1007, 'invalid_utf8', undefined, 'waiting', 'offline', [0, 500]],
  [1009, 'frame_too_big', undefined, 'waiting', 'offline', [0, 500]],
  [4001, 'draining retry_ms=7700', undefined, 'waiting', 'offline', [7700, 7700]],
  [4002, 'slow_consumer', undefined, 'waiting', 'offline', [0, 500]],
  [4003, 'heartbeat_timeout', undefined, 'waiting', 'timeout', [0, 500]],
  [4004, 'internal', undefined, 'waiting', 'offline', [0, 500]],
  [4005, 'overloaded retry_ms=9000', 'rate_limited', 'waiting', 'rate_limited', [9000, 9000]],
  [4005, 'overloaded retry_ms=1', 'wechat_unavailable', 'waiting', 'wechat_unavailable', [1, 1]],
  [4501, 'openid_mismatch', 'openid_mismatch', 'refused', 'openid_mismatch'],
  [4501, 'blocked_by_wechat', undefined, 'refused', 'blocked_by_wechat'],
  [4502, 'bad_request', 'bad_request', 'refused', 'bad_request'],
  [4503, 'replaced', undefined, 'refused', 'replaced'],
  [4504, 'kicked', undefined, 'refused', 'kicked'],
  [4505, 'banned', 'banned', 'refused', 'banned'],
  [4506, 'too_many_errors', 'bad_frame', 'refused', 'too_many_errors'],
  [4599, 'of_a_later_release', undefined, 'refused', 'of_a_later_release'],
  // A proxy, or WeChat, has lost the reason: then the code says it.
  [4001, '', undefined, 'waiting', 'offline', [0, 500]],
  [4003, '', undefined, 'waiting', 'timeout', [0, 500]],
  [4005, '', 'rate_limited', 'waiting', 'rate_limited', [0, 500]],
  [4501, '', 'openid_mismatch', 'refused', 'openid_mismatch'],
  [4502, '', undefined, 'refused', 'bad_request'],
  [4503, '', undefined, 'refused', 'replaced'],
  [4504, '', undefined, 'refused', 'kicked'],
  [4505, '', undefined, 'refused', 'banned'],
  [4506, '', 'bad_frame', 'refused', 'too_many_errors'],
  [4599, '', undefined, 'refused', 'unavailable'],
]
for (const [code, reason, said, state, word, wait] of CLOSES) {
  test(`close ${code} ${reason} leads to ${state}`, async () => {
    const world = new World()
    const alice = await world.online('alice')
    if (said) for (const session of world.server.sessions) session.deliver({ type: 'error', status: 400, error: said, message: 'why' })
    world.server.cut('alice', code, reason)
    await world.tick(2)
    const { retryAt, error } = alice.of('state').find(each => each.state !== 'connecting' && each.state !== 'online')
    assert.deepEqual([error.word, error instanceof Error], [word, true])
    if (state === 'waiting') {
      assert.ok(retryAt - world.clock.now() >= wait[0] - 2 && retryAt - world.clock.now() <= wait[1], retryAt - world.clock.now())
      await world.tick(wait[1] + 50)
      assert.equal(alice.chat.state, 'online')
    } else {
      assert.deepEqual([alice.chat.state, alice.chat.error.word], ['refused', word])
      await world.tick(3_600_000)
      alice.app.on.show()
      alice.app.on.online()
      await world.tick(1000)
      assert.equal(alice.chat.state, 'refused', 'not by itself')
      alice.chat.start()
      await world.tick(50)
      assert.equal(alice.chat.state, 'online', 'but where somebody wants it')
      assert.equal(alice.chat.error, undefined)
    }
  })
}

test('close 4501 unauthorized: one new sign-in, and if that does not help, none', async () => {
  const world = new World()
  const alice = await world.online('alice')
  const logins = () => world.server.calls.filter(call => call.path === '/v1/login').length
  world.server.tokens.clear()
  world.server.cut('alice', 4501, 'unauthorized')
  await world.tick(50)
  assert.deepEqual([alice.chat.state, logins()], ['online', 2])
  // And another time later.
  world.server.tokens.clear()
  world.server.cut('alice', 4501, '')
  await world.tick(50)
  assert.deepEqual([alice.chat.state, logins()], ['online', 3])
  world.server.refusal = () => ({ error: 'unauthorized', code: 4501 })
  world.server.cut('alice')
  await world.tick(3000)
  assert.deepEqual([alice.chat.state, alice.chat.error.word, logins()], ['refused', 'unauthorized', 4])
})

for (const code of [1007, 1009]) {
  test(`what was on its way when the socket was closed with ${code} does not go out again by itself`, async () => {
    const world = new World()
    const alice = await world.online('alice')
    world.server.answers = (frame, session) => {
      if (frame.message !== 'poison') return
      session.end(code, 'never again')
      return null
    }
    alice.chat.send('bob', 'poison')
    alice.chat.send('bob', 'good')
    await world.tick(3000)
    assert.deepEqual([alice.texts('bob'), alice.states('bob')], [['good', 'poison'], ['sent', 'failed']])
    assert.equal(world.heard('text').filter(frame => frame.message === 'poison').length, 1)
  })
}

test('waits longer from time to time, up to 30 s, and by chance', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.isUp = false
  world.server.cut()
  await world.tick(600_000)
  const bounds = [500, 1000, 2000, 4000, 8000, 16000, 30000]
  const waits = []
  for (const { state, retryAt, at } of alice.of('state').map((each, i, all) => ({ ...each, at: all[i].retryAt }))) {
    if (state === 'waiting') waits.push(at)
    assert.ok(state !== 'waiting' || retryAt)
  }
  assert.ok(waits.length > 30, waits.length)
  let longest = 0
  for (let i = 1; i < waits.length; i++) {
    // Each attempt takes some milliseconds.
    const wait = waits[i] - waits[i - 1]
    assert.ok(wait <= (bounds[i] || 30000) + 20, `${i}: ${wait}`)
    longest = Math.max(longest, wait)
  }
  assert.ok(longest > 20000)
  assert.ok(new Set(waits.slice(8).map((at, i) => at - waits[i + 7])).size > 20, 'no two alike')
  // Once it was connected, the next wait is short again.
  world.server.isUp = true
  await world.tick(31_000)
  assert.equal(alice.chat.state, 'online')
  world.server.cut()
  await world.tick(600)
  assert.equal(alice.chat.state, 'online')
  // A look at the app, or a network that is back, ends the wait; and if it was too early, the next one is short.
  for (const look of ['show', 'online']) {
    world.server.isUp = false
    world.server.cut()
    await world.tick(600_000)
    alice.app.on[look]()
    await world.tick(5)
    const { state, retryAt } = alice.of('state').pop()
    assert.ok(state === 'waiting' && retryAt - world.clock.now() <= 500, `${state} ${retryAt - world.clock.now()}`)
    world.server.isUp = true
    alice.app.on[look]()
    await world.tick(20)
    assert.equal(alice.chat.state, 'online')
  }
})

test('a socket that does not open, or says nothing, is given up after 10 s', async () => {
  const world = new World()
  for (const kind of ['no answer', 'no init']) {
    const alice = world.device('alice')
    world.server.faults = frame => (frame.type === 'init' ? [] : [frame])
    const { connect } = world.server
    if (kind === 'no answer') world.server.connect = () => ({ send() {}, close() {} })
    alice.start()
    await world.tick(9990)
    assert.equal(alice.chat.state, 'connecting')
    await world.tick(20)
    assert.deepEqual([alice.chat.state, alice.chat.error.word], ['waiting', 'timeout'])
    world.server.connect = connect
    world.server.reset()
    await world.tick(1000)
    assert.equal(alice.chat.state, 'online')
  }
})

test('hearts want an answer: a socket that is dead is found out and replaced', async () => {
  const world = new World()
  const alice = await world.online('alice')
  await world.tick(95_000)
  assert.equal(world.heard('heart').length, 3)
  assert.deepEqual(states(alice), ['connecting', 'online'])
  world.server.vanish()
  world.server.say('bob', 'alice', 'missed')
  await world.tick(41_000)
  assert.deepEqual([alice.chat.state, alice.texts('bob')], ['online', ['missed']])
})

test('a slow network is no dead one: as long as frames come, the rest of the answer may', async () => {
  const world = new World()
  const alice = await world.online('alice')
  await alice.chat.open('bob')
  world.server.say('bob', 'alice', ...Array.from({ length: 150 }, (_, i) => `${i}${'x'.repeat(2000)}`))
  await world.tick(1)
  let frames = 0
  let delay = 0
  world.server.cut()
  world.server.faults = frame => {
    if (frame.type !== 'sync') return [frame]
    frames++
    delay += 8000
    const late = { ...frame, delay }
    if (frame.cursor) delay = 0
    return [late]
  }
  world.server.say('bob', 'alice', ...Array.from({ length: 150 }, (_, i) => `${i}${'y'.repeat(2000)}`))
  await world.tick(120_000)
  assert.ok(frames > 4, frames)
  assert.deepEqual([alice.chat.state, alice.texts('bob').length], ['online', 300])
  assert.equal(states(alice).filter(state => state === 'connecting').length, 2)
})

test('hidden and shown: the server is told, and what was missed is asked for', async () => {
  const world = new World()
  const alice = await world.online('alice')
  alice.app.on.hide()
  await world.tick(10)
  // A connection made while hidden is hidden too.
  world.server.cut()
  await world.tick(1000)
  assert.equal(world.heard('background').length, 2)
  const syncs = world.heard('sync').length
  alice.app.on.show()
  await world.tick(10)
  assert.deepEqual([world.heard('foreground').length, world.heard('sync').length], [1, syncs + 1])
  // The socket has died meanwhile: its silence shows it.
  alice.app.on.hide()
  world.server.vanish()
  await world.tick(1000)
  alice.app.on.show()
  await world.tick(11_000)
  assert.equal(alice.chat.state, 'online')
})

test('a network that goes ends the socket, and one that comes brings it back at once', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.isUp = false
  alice.app.on.offline()
  await world.tick(60_000)
  assert.deepEqual([alice.chat.state, alice.chat.error.word], ['waiting', 'offline'])
  world.server.isUp = true
  alice.app.on.online()
  await world.tick(20)
  assert.equal(alice.chat.state, 'online')
})

test('stop closes the socket and stays away; start comes back with what was not sent', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.say('bob', 'alice', 'hi')
  await world.tick(10)
  alice.chat.stop()
  await world.tick()
  assert.deepEqual([alice.chat.state, world.server.sessions.size, alice.app.on], ['stopped', 0, null])
  alice.chat.send('bob', 'later')
  await world.tick(1_000_000)
  assert.deepEqual([alice.chat.state, alice.states('bob')], ['stopped', ['received', 'sending']])
  alice.chat.start()
  alice.chat.start()
  await world.tick(50)
  assert.deepEqual([alice.chat.state, alice.states('bob')], ['online', ['received', 'sent']])
  assert.deepEqual(states(alice), ['connecting', 'online', 'stopped', 'connecting', 'online'])
  // In the middle of an attempt, of a wait, and of a sign-in.
  for (const ms of [0, 1, 2, 3]) {
    world.server.cut()
    await world.tick(600)
    alice.chat.stop()
    alice.chat.start()
    await world.tick(ms)
    alice.chat.stop()
    await world.tick(60_000)
    assert.deepEqual([alice.chat.state, world.server.sessions.size], ['stopped', 0])
    alice.chat.start()
    await world.tick(50)
    assert.equal(alice.chat.state, 'online')
  }
})

test('the clocks of the device and of the server differ: that is said once', async () => {
  const world = new World()
  const alice = world.device('alice')
  world.server.faults = frame => [frame.type === 'init' ? { ...frame, server_time: frame.server_time - 301_000 } : frame]
  alice.start()
  await world.tick(50)
  assert.deepEqual([alice.chat.state, alice.of('error').map(e => e.word)], ['online', ['server_clock']])
  world.server.cut()
  await world.tick(1000)
  assert.equal(alice.of('error').length, 1)
})

test('a listener that throws is heard of and stops nobody, and one that is gone hears nothing', () => {
  // In a process of its own, for the test runner takes every unhandled rejection for a failure.
  const script = `
    const { World } = require('./world.js')
    const world = new World()
    const alice = world.device('alice')
    alice.start({ isStopped: true })
    process.on('unhandledRejection', error => console.log(error.message))
    alice.chat.on('state', () => { throw new Error('of the page') })
    alice.chat.on('state', ({ state }) => console.log(state))
    const off = alice.chat.on('state', () => console.log('gone'))
    alice.chat.start()
    off()
    world.tick(50)`
  const { stdout } = spawnSync(process.execPath, ['-e', script], { cwd: __dirname, encoding: 'utf8' })
  assert.deepEqual(stdout.trim().split('\n').sort(), ['connecting', 'of the page', 'of the page', 'online'])
})
