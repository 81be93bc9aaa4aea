'use strict'

/**
 * Everything at once, by chance: two people, one with two devices, write, read, recall and clear, while frames are lost, doubled and late, sockets
 * end or fall silent, the server goes away, and apps are killed. When it is quiet again, all agree with the server. A seed that fails is
 * repeated with HONGYAN_STORM_SEED=<seed>; more of them are tried with HONGYAN_STORMS=<how many>.
 */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { World } = require('./world.js')

const PEOPLE = ['alice', 'bob', 'carol']
const STEPS = 150

async function storm(seed) {
  const world = new World()
  const { clock, server } = world
  clock.seed = seed
  const chance = p => clock.random() < p
  const one = list => list[Math.floor(clock.random() * list.length)]
  const devices = ['alice', 'alice', 'bob'].map(name => world.device(name))
  for (const device of devices) device.start({ pageSize: 5 })
  const written = []

  const isSafe = type => type === 'init'
  server.faults = frame => {
    if (isSafe(frame.type)) return [frame]
    if (chance(0.05)) return []
    const late = chance(0.1) ? { ...frame, delay: Math.floor(clock.random() * 50) } : frame
    return chance(0.05) && frame.type !== 'sync' ? [late, { ...frame, delay: 30 }] : [late]
  }
  server.answers = frame => {
    if (!['text', 'sync'].includes(frame.type) || !chance(0.05)) return undefined
    return { type: 'error', status: 503, error: 'unavailable', retry_after_ms: 200 }
  }

  const deeds = {
    write(device) {
      const peer = one(PEOPLE)
      const text = `${written.length}`
      written.push({ device, from: device.name, peer, text })
      device.chat.send(peer, text)
    },
    say: () => void server.say('carol', one(['alice', 'bob']), 'from carol'),
    open: device => device.chat.open(one(PEOPLE)),
    leave: device => device.chat.leave(),
    older: device => device.chat.loadOlder(one(PEOPLE)),
    hide: device => device.app.on.hide(),
    show: device => device.app.on.show(),
    cut: device => server.cut(device.name, one([1006, 4002, 4001]), 'retry_ms=50'),
    vanish: device => server.vanish(device.name),
    restart: device => void device.start({ pageSize: 5 }),
    outage() {
      server.isUp = false
      server.cut()
      clock.setTimeout(() => (server.isUp = true), 3000)
    },
    recall(device) {
      const own = device.chat.messages('bob').filter(m => m.mine && m.seq && !m.recalled)
      return own.length && device.chat.recall('bob', one(own).seq)
    },
    recallOfCarol() {
      const mine = server.conversation('alice', 'carol').events.filter(e => e.from === 'carol' && !e.target && !e.recalled)
      if (mine.length) server.append('carol', 'alice', { type: 'recall', target: one(mine).seq })
    },
    clear: device => chance(0.2) && device.chat.removeConversation(one(PEOPLE)),
    refresh: device => device.chat.refresh(),
    readElsewhere(device) {
      const peer = one(PEOPLE)
      const { length } = server.conversation(device.name, peer).events
      if (server.mark(device.name, peer, 'read', Math.floor(clock.random() * length))) server.tellMark(device.name, peer, 'read')
    },
  }
  const often = [...Object.keys(deeds), 'write', 'write', 'write', 'write', 'say', 'open']
  for (let i = 0; i < STEPS; i++) {
    const device = one(devices)
    const done = deeds[one(often)](device)
    if (done && done.catch) done.catch(e => assert.ok(e.word, e))
    await clock.tick(Math.floor(clock.random() * (chance(0.1) ? 5000 : 200)))
    for (const each of devices) for (const peer of PEOPLE) withoutHoles(each, peer)
  }

  server.reset()
  server.isUp = true
  await clock.tick(700_000)
  for (const device of devices) {
    assert.equal(device.chat.state, 'online')
    let unread = 0
    for (const peer of PEOPLE) {
      await agrees(world, device, peer)
      unread += server.unread(device.name, peer)
    }
    assert.equal(device.chat.unread(), unread)
  }
  // Everything that was written stands in history once, and what one device wrote to one peer stands in that order.
  const stored = new Map()
  for (const { events } of server.conversations.values()) {
    for (const event of events) if (!event.target && event.fields.message !== 'from carol') stored.set(event.fields.message, event)
  }
  assert.equal(stored.size, written.length)
  for (const device of devices) {
    for (const peer of PEOPLE) {
      const seqs = written.filter(w => w.device === device && w.peer === peer).map(w => stored.get(w.text).seq)
      assert.deepEqual(seqs, [...seqs].sort((a, b) => a - b))
    }
  }
}

/**
 * Nothing of the history is left out before a message of the peer's, and nothing stands twice. Own messages may stand behind it that were acked,
 * while what is before them is being fetched.
 */
function withoutHoles(device, peer) {
  const history = device.world.server.conversation(device.name, peer).events.filter(e => !e.target).map(e => e.seq)
  const messages = device.chat.messages(peer)
  const end = messages.map(m => m.mine).lastIndexOf(false) + 1
  const shown = messages.slice(0, end).map(m => m.seq)
  const begin = history.indexOf(shown[0])
  assert.deepEqual(shown, end ? history.slice(begin, begin + end) : [], `${device.name} with ${peer}`)
  const own = messages.slice(end).map(m => m.seq).filter(Boolean)
  assert.deepEqual(own, [...own].sort((a, b) => a - b), `${device.name} with ${peer}`)
  assert.equal(new Set(messages.map(m => m.key)).size, messages.length)
}

async function agrees({ server, clock }, device, peer) {
  const { name, chat } = device
  for (let i = 0; chat.hasOlder(peer); i++) {
    assert.ok(i < 100)
    const loaded = chat.loadOlder(peer)
    await clock.tick(10)
    await loaded
  }
  const { peer_read_seq, peer_recv_seq, cleared_seq } = server.overview(name, peer)
  const stateOf = e => (e.from !== name ? 'received' : e.seq <= peer_read_seq ? 'read' : e.seq <= peer_recv_seq ? 'delivered' : 'sent')
  const visible = server.conversation(name, peer).events.filter(e => e.seq > cleared_seq && !e.target)
  const expected = visible.map(e => [e.seq, e.recalled ? '' : e.fields.message, e.from === name, stateOf(e), !!e.recalled])
  assert.deepEqual(chat.messages(peer).map(m => [m.seq, m.message, m.mine, m.state, m.recalled]), expected, `${name} with ${peer}`)
  const listed = chat.conversations().find(c => c.peer === peer)
  assert.equal(listed ? listed.unread : 0, server.unread(name, peer), `${name} with ${peer}`)
}

const { HONGYAN_STORM_SEED: only, HONGYAN_STORMS: count = 25 } = process.env
for (const seed of only ? [Number(only)] : Array.from({ length: Number(count) }, (_, i) => i + 1)) {
  test(`storm ${seed}`, () => storm(seed))
}
