'use strict'

/** A way to the server that is gone without a word: how soon there is another socket, and what finding out costs. */

const assert = require('node:assert/strict')
const net = require('node:net')
const { test } = require('node:test')
const WebSocket = require('ws')
const { createClient } = require('../../../miniprogram/sdk/hongyan.js')
const { Server } = require('../server.js')
const { World } = require('./world.js')

const connections = device => device.of('state').filter(({ state }) => state === 'connecting').length

/** Milliseconds until the device has what it missed, in steps of 50. */
async function recovers(device, most = 60_000) {
  const { world } = device
  const begun = world.clock.now()
  world.server.say('bob', device.name, 'missed')
  while (!device.texts('bob').includes('missed')) {
    await world.tick(50)
    assert.ok(world.clock.now() - begun < most, 'it is still waiting')
  }
  return world.clock.now() - begun
}

test('a network that is another one: a dead socket is replaced within 3 s', async t => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.say('bob', 'alice', 'hi')
  await world.tick(7000)
  world.server.vanish()
  alice.app.on.online()
  const ms = await recovers(alice)
  t.diagnostic(`figure: after the event of a new network there is another socket in ${ms} ms`)
  assert.ok(ms <= 2500, `${ms}`)
  assert.equal(connections(alice), 2)
})

test('a network that is another one: a socket that lives on stays, for one heart and one sync', async () => {
  const world = new World()
  const alice = await world.online('alice')
  await world.tick(7000)
  const before = world.server.heard.length
  alice.app.on.online()
  await world.tick(7000)
  assert.deepEqual(world.server.heard.slice(before).map(({ type }) => type), ['heart', 'sync'])
  assert.equal(connections(alice), 1)
})

test('an attempt that was under way on the old network is given up for one on the new', async () => {
  const world = new World()
  const alice = world.device('alice')
  const { connect } = world.server
  world.server.connect = () => ({ send() {}, close() {} })
  alice.start()
  await world.tick(1000)
  world.server.connect = connect
  alice.app.on.online()
  await world.tick(600)
  assert.equal(alice.chat.state, 'online')
})

const acts = {
  'sends a message': device => device.chat.send('bob', 'x'),
  types: device => device.chat.typing('bob'),
  'opens a chat': device => void device.chat.open('bob'),
  'comes back to the app': device => device.app.on.show(),
  'pulls to refresh': device => void device.chat.refresh().catch(() => {}),
}
for (const [what, act] of Object.entries(acts)) {
  test(`without an event: whoever ${what} has another socket within 5 s`, async t => {
    const world = new World()
    const alice = await world.online('alice')
    world.server.say('bob', 'alice', 'hi')
    await world.tick(7000)
    world.server.vanish()
    act(alice)
    const ms = await recovers(alice)
    t.diagnostic(`figure: without an event, who ${what} has another socket in ${ms} ms`)
    assert.ok(ms <= 5000, `${ms}`)
    await world.tick(1000)
    assert.deepEqual([alice.states('bob').filter(state => state === 'sending'), connections(alice)], [[], 2])
  })
}

test('without an event, a chat that somebody only looks at: half a heartbeat; else a whole one', async t => {
  for (const [isOpen, most] of [[true, 18_000], [false, 33_000]]) {
    let longest = 0
    for (let phase = 0; phase < 30_000; phase += 3000) {
      const world = new World()
      const alice = await world.online('alice')
      world.server.say('bob', 'alice', 'hi')
      await world.tick(100)
      if (isOpen) await alice.chat.open('bob')
      await world.tick(30_000 + phase)
      world.server.vanish()
      longest = Math.max(longest, await recovers(alice))
    }
    t.diagnostic(`figure: without an event, ${isOpen ? 'with a chat on the screen' : 'with none'}, there is another socket in ${longest} ms at the latest`)
    assert.ok(longest <= most, `${longest}`)
  }
})

test('what finding out costs: hearts at the server’s rate, one more between two where a chat on the screen is silent', async t => {
  for (const [isOpen, isBusy, most] of [[false, false, 20], [true, false, 40], [true, true, 21]]) {
    const world = new World()
    const alice = await world.online('alice')
    world.server.say('bob', 'alice', 'hi')
    await world.tick(100)
    if (isOpen) await alice.chat.open('bob')
    for (let second = 0; second < 600; second += 4) {
      if (isBusy) world.server.say('bob', 'alice', 'x')
      await world.tick(4000)
    }
    const hearts = world.heard('heart').length
    t.diagnostic(`figure: ${hearts} hearts in ten minutes, ${isOpen ? 'a chat on the screen' : 'none'}, ${isBusy ? 'a message every four seconds' : 'silence'}`)
    assert.ok(hearts <= most, `${hearts}`)
  }
})

test('a server that takes its time with a message is no dead one: it goes out once, over one socket', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.faults = frame => (frame.type === 'ack' ? [{ ...frame, delay: 9000 }] : [frame])
  alice.chat.send('bob', 'x')
  await world.tick(12_000)
  assert.deepEqual([alice.states('bob'), world.heard('text').length, connections(alice)], [['sent'], 1, 1])
  assert.ok(world.heard('heart').length <= 3)
})

test('a slow way is no dead one: where connecting takes long, so may an answer', async () => {
  const world = new World()
  const alice = world.device('alice')
  world.server.faults = frame => [{ ...frame, delay: 4000 }]
  alice.start()
  await world.tick(20_000)
  assert.equal(alice.chat.state, 'online')
  alice.app.on.online()
  alice.chat.send('bob', 'x')
  await world.tick(120_000)
  assert.deepEqual([alice.states('bob'), connections(alice)], [['sent'], 1])
})

test('a phone that slept: a timer that comes late says nothing of the socket', async () => {
  const world = new World()
  const alice = await world.online('alice')
  await world.tick(7000)
  world.server.faults = frame => [frame.type === 'heart' ? { ...frame, delay: 2500 } : frame]
  alice.chat.typing('bob')
  await world.tick(1000)
  // All of what is due comes at once, the timer first.
  world.clock.time += 60_000
  await world.tick(1)
  world.server.reset()
  await world.tick(10_000)
  assert.equal(connections(alice), 1)
})

test('hearts that are never answered: no storm of sockets', async () => {
  const world = new World()
  const alice = await world.online('alice')
  await world.tick(7000)
  world.server.answers = frame => (frame.type === 'heart' || frame.type === 'sync' ? null : undefined)
  alice.app.on.online()
  await world.tick(120_000)
  assert.ok(connections(alice) < 20, `${connections(alice)}`)
})

test('a real server behind a way that goes dead, told by an event: within 3 s', async t => {
  const server = await Server.start(t)
  const { hostname, port } = new URL(server.url)
  const pairs = []
  const proxy = net.createServer(near => {
    const far = net.connect(port, hostname)
    pairs.push([near, far])
    near.pipe(far).pipe(near)
    for (const socket of [near, far]) socket.on('error', () => socket.destroy())
  })
  await new Promise(resolve => proxy.listen(0, '127.0.0.1', resolve))
  const items = new Map()
  let network
  const adapter = {
    async request({ method, url, headers, body }) {
      const answer = await fetch(url, { method, headers: { ...headers, 'content-type': 'application/json' }, body: body && JSON.stringify(body) })
      return { status: answer.status, body: await answer.json().catch(() => undefined) }
    },
    connect({ url, token }, on) {
      const socket = new WebSocket(url, ['hongyan.v1'], { headers: { authorization: `Bearer ${token}` } })
      socket.on('open', on.open).on('message', data => on.message(String(data))).on('close', (code, reason) => on.close(code, String(reason))).on('error', () => {})
      return { send: text => socket.send(text), close: code => (socket.readyState === 1 ? socket.close(code) : socket.terminate()) }
    },
    storage: { get: key => items.get(key), set: (key, value) => items.set(key, value), remove: key => items.delete(key) },
    watch(on) {
      network = on
      return () => {}
    },
  }
  // Its timers keep no process alive.
  const clock = { now: Date.now, random: Math.random, setTimeout: (run, ms) => setTimeout(run, ms).unref() }
  const chat = createClient({ clock, url: `http://127.0.0.1:${proxy.address().port}`, adapter, signIn: api => api.login('dev:alice') })
  const online = () => new Promise(resolve => {
    const off = chat.on('state', ({ state }) => {
      if (state !== 'online') return
      off()
      resolve()
    })
  })
  t.after(() => {
    chat.stop()
    pairs.flat().forEach(socket => socket.destroy())
    proxy.close()
  })
  chat.start()
  await online()
  // The packets of these go nowhere from now on, and nobody is told.
  for (const [near, far] of pairs) {
    near.unpipe(far)
    far.unpipe(near)
    near.resume()
    far.resume()
  }
  const begun = performance.now()
  const back = online()
  network.online()
  await back
  const ms = Math.round(performance.now() - begun)
  t.diagnostic(`figure: a real server is back ${ms} ms after the event`)
  // Against the silence that is waited for, whatever the machine takes for the rest.
  assert.ok(ms >= 1900 && ms < 2000 + 5000, `${ms}`)
})

test('timers that are always late, as in a hidden tab: a dead socket is found out all the same', async () => {
  const world = new World()
  const { setTimeout } = world.clock
  // Once a minute, as browsers do it.
  world.clock.setTimeout = (run, ms = 0) => setTimeout(run, ms < 1000 ? ms : Math.ceil(ms / 60_000) * 60_000)
  const alice = await world.online('alice')
  world.server.vanish()
  // A heartbeat of two halves, and twice the time for an answer; it does not wait for the sync of every five minutes.
  await world.tick(4 * 60_000 + 1000)
  assert.equal(connections(alice), 2)
})

test('a chat on the screen while a long sync is under way: nobody takes its silence for a dead socket', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.say('bob', 'alice', 'hi')
  await world.tick(100)
  await alice.chat.open('bob')
  // What is told is told when all of it is here, and the answer of a heart behind it.
  world.server.faults = frame => [/sync|heart/.test(frame.type) ? { ...frame, delay: 9000 } : frame]
  world.server.cut()
  await world.tick(1000)
  const before = connections(alice)
  for (let second = 0; second < 15; second++) {
    alice.chat.open('bob')
    await world.tick(1000)
  }
  assert.deepEqual([alice.chat.state, connections(alice)], ['online', before])
})
