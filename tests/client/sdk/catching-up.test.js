'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { World } = require('./world.js')

const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => `${from + i}`)
const isLive = frame => frame.type === 'text' && frame.from_user_openid === 'bob'

test('frames that come twice stand once, count once and are told once', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.faults = frame => [frame, { ...frame, delay: 5 }]
  world.server.say('bob', 'alice', '1', '2')
  await world.tick(1000)
  assert.deepEqual(alice.texts('bob'), ['1', '2'])
  assert.equal(alice.chat.unread(), 2)
  assert.deepEqual(alice.of('incoming').map(e => e.message.message), ['1', '2'])
})

test('what comes after a hole is held back, and the hole is fetched after 300 ms', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.say('bob', 'alice', '1')
  await world.tick(10)
  world.server.faults = frame => (isLive(frame) && frame.message === '2' ? [] : [frame])
  world.server.say('bob', 'alice', '2', '3')
  const syncs = world.heard('sync').length
  await world.tick(299)
  assert.deepEqual([alice.texts('bob'), world.heard('sync').length], [['1'], syncs])
  world.server.say('bob', 'alice', '4')
  await world.tick(20)
  assert.equal(world.heard('sync').length, syncs + 1)
  assert.deepEqual(alice.texts('bob'), ['1', '2', '3', '4'])
  assert.deepEqual(alice.of('incoming').map(e => e.message.message), ['1', '2', '3', '4'])
  assert.equal(alice.chat.unread(), 4)
  await world.tick(5000)
  assert.equal(world.heard('sync').length, syncs + 1, 'and then there is peace')
})

test('a hole is fetched in time however much comes meanwhile', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.say('bob', 'alice', '1')
  await world.tick(10)
  world.server.faults = frame => (frame.message === '2' && isLive(frame) ? [] : [frame])
  for (const text of numbers(2, 12)) {
    world.server.say('bob', 'alice', text)
    await world.tick(50)
  }
  assert.ok(alice.texts('bob').length > 5, alice.texts('bob').join())
  await world.tick(400)
  assert.deepEqual(alice.texts('bob'), numbers(1, 12))
})

test('frames in the wrong order stand in the right one', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.faults = frame => [isLive(frame) && frame.seq % 2 ? { ...frame, delay: 20 } : frame]
  world.server.say('bob', 'alice', ...numbers(1, 9))
  for (let i = 0; i < 40; i++) {
    await world.tick(20)
    const texts = alice.texts('bob')
    assert.deepEqual(texts, numbers(1, texts.length))
  }
  assert.equal(alice.texts('bob').length, 9)
})

test('what a sync that is under way cannot know is asked for after it', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.say('bob', 'alice', '1')
  await world.tick(10)
  world.server.faults = frame => {
    if (frame.type === 'sync') return [{ ...frame, delay: 1000 }]
    return frame.message === '2' && isLive(frame) ? [] : [frame]
  }
  const fresh = alice.chat.refresh()
  await world.tick(10)
  world.server.say('bob', 'alice', '2', '3')
  await world.tick(900)
  assert.deepEqual(alice.texts('bob'), ['1'])
  world.server.reset()
  await world.tick(500)
  await fresh
  assert.deepEqual(alice.texts('bob'), ['1', '2', '3'])
})

test('what comes while the answer is on its way is counted as well', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.say('bob', 'alice', '1')
  await world.tick(10)
  world.server.faults = frame => [frame.type === 'sync' ? { ...frame, delay: 100 } : frame]
  const fresh = alice.chat.refresh()
  await world.tick(5)
  world.server.say('bob', 'alice', '2')
  await world.tick(120)
  await fresh
  assert.deepEqual([alice.texts('bob'), alice.chat.unread()], [['1', '2'], 2])
})

test('a page that comes late brings nothing back that was cleared meanwhile', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.say('bob', 'alice', ...numbers(1, 30))
  world.server.cut()
  alice.start()
  await world.tick(100)
  const { request } = world.server
  world.server.request = call => request.call(world.server, call).then(answer => new Promise(resolve => world.clock.setTimeout(() => resolve(answer), 100)))
  const older = alice.chat.loadOlder('bob')
  await world.tick(10)
  world.server.clear('alice', 'bob', 20)
  await world.tick(200)
  await older
  assert.deepEqual([alice.texts('bob'), alice.chat.hasOlder('bob')], [numbers(21, 30), false])
})

test('what a socket says after its end is not heard', async () => {
  const world = new World()
  const alice = world.device('alice')
  const { connect } = world.server
  let last
  world.server.connect = (socket, on) => connect.call(world.server, socket, (last = on))
  alice.start()
  await world.tick(50)
  alice.chat.stop()
  await world.tick(10)
  last.message(JSON.stringify({ type: 'text', status: 200, from_user_openid: 'bob', to_user_openid: 'alice', seq: 1, sent_at: 1, message: 'x' }))
  last.close(4505, 'banned')
  await world.tick(10)
  assert.deepEqual([alice.texts('bob'), alice.chat.state], [[], 'stopped'])
})

test('live frames that overtake the answer to the first sync', async () => {
  const world = new World()
  world.server.say('bob', 'alice', ...numbers(1, 30))
  const alice = world.device('alice')
  world.server.faults = frame => [frame.type === 'sync' ? { ...frame, delay: 100 } : frame]
  alice.start()
  await world.tick(20)
  world.server.say('bob', 'alice', '31')
  world.server.say('carol', 'alice', 'new')
  await world.tick(5)
  assert.deepEqual(alice.texts('bob'), [])
  await world.tick(1000)
  assert.deepEqual(alice.texts('bob'), ['30', '31'])
  assert.deepEqual([alice.texts('carol'), alice.chat.unread()], [['new'], 32])
  await open(world, alice, 'bob')
  assert.deepEqual(alice.texts('bob'), numbers(10, 31))
})

test('1 000 messages of the chat on screen come without a gap, 256 KiB at a time', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.say('bob', 'alice', '1')
  await open(world, alice, 'bob')
  world.server.isUp = false
  world.server.cut()
  await world.tick(10)
  const texts = numbers(2, 1001).map(n => `${n}${'x'.repeat(n % 700)}`)
  world.server.say('bob', 'alice', ...texts)
  world.server.isUp = true
  const syncs = world.heard('sync').length
  let frames = 0
  world.server.faults = frame => {
    if (frame.type === 'sync') frames++
    return [frame]
  }
  let whileCatchingUp = 0
  for (let i = 0; i < 400 && alice.chat.messages('bob').length < 1001; i++) {
    const shown = alice.texts('bob')
    assert.deepEqual(shown, ['1', ...texts].slice(0, shown.length))
    if (alice.chat.state !== 'online') whileCatchingUp++
    await world.tick(1)
    if (i === 5) alice.app.on.show()
  }
  assert.deepEqual(alice.texts('bob'), ['1', ...texts])
  await world.tick(10)
  assert.equal(alice.chat.state, 'online')
  assert.ok(whileCatchingUp)
  const asked = world.heard('sync').slice(syncs)
  assert.ok(asked.length >= 6 && frames > asked.length, `${asked.length} questions, ${frames} frames`)
  assert.deepEqual(asked.slice(1, 6).map(q => q.limit), [200, 200, 200, 200, 200])
  assert.equal(alice.of('incoming').length, 1, 'what was missed is no news')
  // Whoever looks has read it.
  assert.equal(alice.chat.unread(), 0)
})

test('of a chat that is not on screen the newest page comes, however much was missed', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.say('bob', 'alice', '1', '2')
  await world.tick(10)
  world.server.cut()
  world.server.say('bob', 'alice', ...numbers(3, 1002))
  const syncs = world.heard('sync').length
  await world.tick(1000)
  assert.equal(world.heard('sync').length, syncs + 1)
  assert.deepEqual(alice.texts('bob'), numbers(983, 1002), 'and no hole is shown')
  assert.equal(alice.chat.unread(), 1002)
  await open(world, alice, 'bob')
  assert.equal(alice.chat.unread(), 0)
  await older(world, alice, 'bob')
  assert.deepEqual(alice.texts('bob'), numbers(963, 1002))
})

test('the first sync of a device brings the whole list, with the last message of each', async () => {
  const world = new World()
  for (let i = 0; i < 700; i++) world.server.say(`peer${i}`, 'alice', 'old', `${i}${'x'.repeat(i % 500)}`)
  const alice = world.device('alice')
  alice.start()
  for (let i = 0; i < 100 && alice.chat.state !== 'online'; i++) {
    await world.tick(1)
    if (i === 5) world.server.say('peer3', 'alice', 'while it goes on')
  }
  // That comes with one more answer.
  await world.tick(20)
  assert.ok(world.heard('sync').length > 2)
  const list = alice.chat.conversations()
  assert.deepEqual([list.length, list[0].peer, list[0].last.message, list[0].unread], [700, 'peer3', 'while it goes on', 3])
  assert.equal(alice.chat.unread(), 1401)
  assert.deepEqual(new Set(world.heard('sync').map(q => q.limit)), new Set([1]))
  // From then on it is asked for changes only.
  await world.tick(1000)
  const answers = world.heard('sync').length
  world.server.cut()
  world.server.say('peer9', 'alice', 'new')
  await world.tick(1000)
  assert.equal(world.heard('sync').length, answers + 1)
  assert.equal(alice.chat.unread(), 1402)
  assert.deepEqual(alice.texts('peer9'), ['old', '9'.padEnd(10, 'x'), 'new'])
})

test('pages of history, up to the beginning', async () => {
  const world = new World()
  world.server.say('bob', 'alice', ...numbers(1, 45))
  const alice = await world.online('alice')
  assert.equal(alice.chat.hasOlder('bob'), true)
  await open(world, alice, 'bob')
  assert.deepEqual(alice.texts('bob'), numbers(25, 45), 'a page before the message that was known')
  const both = Promise.all([alice.chat.loadOlder('bob'), alice.chat.loadOlder('bob')])
  await world.tick(10)
  await both
  assert.deepEqual(alice.texts('bob'), numbers(5, 45), 'two who ask at once get one page')
  assert.equal(alice.chat.hasOlder('bob'), true)
  await older(world, alice, 'bob')
  assert.deepEqual([alice.texts('bob'), alice.chat.hasOlder('bob')], [numbers(1, 45), false])
})

test('a page that is all recalls is no end', async () => {
  const world = new World()
  world.server.say('bob', 'alice', ...numbers(1, 50))
  for (let seq = 11; seq <= 50; seq++) world.server.append('bob', 'alice', { type: 'recall', target: seq })
  const alice = await world.online('alice')
  assert.equal(alice.chat.conversations()[0].last.recalled, true)
  await open(world, alice, 'bob')
  assert.deepEqual(alice.texts('bob').slice(-1), ['(recalled)'])
  for (let i = 0; i < 5 && alice.chat.hasOlder('bob'); i++) {
    const before = alice.chat.messages('bob').length
    await older(world, alice, 'bob')
    assert.ok(alice.chat.messages('bob').length > before)
  }
  assert.deepEqual(alice.texts('bob'), [...numbers(1, 10), ...Array(40).fill('(recalled)')])
})

test('a chat opened before the first sync, and one with nobody', async () => {
  const world = new World()
  world.server.say('bob', 'alice', ...numbers(1, 30))
  const alice = world.device('alice')
  alice.start()
  const opened = alice.chat.open('bob')
  await world.tick(50)
  await opened
  assert.deepEqual(alice.texts('bob'), numbers(11, 30))
  await world.tick(1000)
  assert.deepEqual([alice.chat.unread(), world.server.member('alice', 'bob').read], [0, 30])
  await open(world, alice, 'nobody')
  assert.deepEqual([alice.texts('nobody'), alice.chat.hasOlder('nobody'), alice.chat.conversations().length], [[], false, 1])
})

test('a chat opened without a connection shows what is cached, and its page comes with the connection', async () => {
  const world = new World()
  world.server.say('bob', 'alice', ...numbers(1, 30))
  const alice = await world.online('alice')
  world.server.isUp = false
  world.server.cut()
  await world.tick(10)
  const opened = assert.rejects(alice.chat.open('bob'), { word: 'offline' })
  await world.tick(100)
  await opened
  assert.deepEqual(alice.texts('bob'), ['30'])
  world.server.isUp = true
  await world.tick(31000)
  assert.deepEqual(alice.texts('bob'), numbers(10, 30))
})

test('a sync that is refused is asked again; a cursor that is not known is forgotten', async () => {
  const world = new World()
  const alice = world.device('alice')
  const refusals = [{ status: 429, error: 'rate_limited', retry_after_ms: 700 }, { status: 503, error: 'unavailable' }]
  world.server.answers = frame => {
    if (frame.type === 'sync' && refusals.length) return { type: 'error', ...refusals.shift() }
  }
  world.server.say('bob', 'alice', '1')
  alice.start()
  await world.tick(600)
  assert.deepEqual([alice.chat.state, world.heard('sync').length], ['connecting', 1])
  await world.tick(1200)
  assert.deepEqual([alice.chat.state, alice.texts('bob')], ['online', ['1']])
  world.server.answers = frame => (frame.type === 'sync' && frame.since ? { type: 'error', status: 400, error: 'bad_frame' } : undefined)
  world.server.cut()
  world.server.say('bob', 'alice', '2')
  await world.tick(3000)
  assert.deepEqual([alice.chat.state, alice.texts('bob')], ['online', ['1', '2']])
  assert.deepEqual(world.heard('sync').slice(-2).map(q => q.since === null), [false, true])
})

test('a sync comes with every look at the app, and every five minutes', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.faults = frame => (isLive(frame) ? [] : [frame])
  world.server.say('bob', 'alice', '1')
  await world.tick(299000)
  assert.deepEqual(alice.texts('bob'), [])
  await world.tick(2000)
  assert.deepEqual(alice.texts('bob'), ['1'])
  world.server.say('bob', 'alice', '2')
  alice.app.on.hide()
  alice.app.on.show()
  await world.tick(10)
  assert.deepEqual(alice.texts('bob'), ['1', '2'])
})

test('refresh resolves when all is here, and rejects where there is no connection, but hurries to make one', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.faults = frame => (isLive(frame) ? [] : [frame])
  world.server.say('bob', 'alice', '1')
  const fresh = alice.chat.refresh()
  await world.tick(10)
  await fresh
  assert.deepEqual(alice.texts('bob'), ['1'])
  world.server.isUp = false
  world.server.cut()
  await world.tick(60000)
  assert.equal(alice.chat.state, 'waiting')
  world.server.isUp = true
  await assert.rejects(alice.chat.refresh(), { word: 'offline' })
  await world.tick(20)
  assert.equal(alice.chat.state, 'online')
})

test('a server that has lost its history: what it has now is shown, and nothing is dropped as known', async () => {
  for (const first of ['a live message', 'an own message', 'a page']) {
    const world = new World()
    const alice = await world.online('alice')
    world.server.say('bob', 'alice', ...numbers(1, 60))
    await open(world, alice, 'bob')
    world.server.say('carol', 'alice', 'was lost')
    await world.tick(10000)
    world.server.loseEverything()
    if (first === 'a page') {
      world.server.cut()
      world.server.say('bob', 'alice', 'new', 'newer')
    }
    if (first === 'a live message') world.server.say('bob', 'alice', 'new', 'newer')
    if (first === 'an own message') alice.chat.send('bob', 'new')
    await world.tick(3000)
    assert.deepEqual(alice.texts('bob'), first === 'an own message' ? ['new'] : ['new', 'newer'], first)
    assert.deepEqual(alice.chat.conversations().map(c => c.peer), ['bob'])
  }
})

test('a restored database: nothing of the lost seqs is taken for known, and what was not acked goes out', async () => {
  for (const isRestarted of [false, true]) {
    const world = new World()
    const { server } = world
    const alice = await world.online('alice')
    server.say('bob', 'alice', ...numbers(1, 12))
    await world.tick(3000)
    server.answers = frame => (frame.type === 'text' ? null : undefined)
    alice.chat.send('bob', 'mine')
    await world.tick(100)
    if (isRestarted) alice.kill()
    server.restore(7)
    server.reset()
    // As many as the device knows of, and one more.
    server.say('bob', 'alice', ...numbers(101, 106))
    if (isRestarted) alice.start()
    await world.tick(30_000)
    assert.deepEqual(alice.texts('bob'), [...numbers(1, 7), ...numbers(101, 106), 'mine'])
    assert.deepEqual(alice.states('bob').pop(), 'sent')
    // And there is peace.
    const syncs = world.heard('sync').length
    server.cut()
    await world.tick(3000)
    assert.equal(world.heard('sync').length, syncs + 1)
    assert.ok(world.heard('sync').pop().since)
  }
})

test('a server that is another one altogether, and knows neither the cursor nor the history', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.say('bob', 'alice', ...numbers(1, 5))
  world.server.say('carol', 'alice', 'c1')
  await world.tick(10)
  // One is acked, and stands behind a hole.
  world.server.faults = frame => (frame.type === 'text' || frame.type === 'sync' ? [] : [frame])
  world.server.say('bob', 'alice', '6')
  alice.chat.send('bob', 'mine')
  await world.tick(10)
  assert.deepEqual(alice.states('bob').pop(), 'sent')
  await world.tick(10_000)
  world.server.loseEverything()
  world.server.reset()
  world.server.cut()
  world.server.answers = frame => (frame.since && !frame.since.includes('new') ? { type: 'error', status: 400, error: 'bad_frame' } : undefined)
  const { frames } = world.server
  world.server.frames = (session, head, said, tail) =>
    frames.call(world.server, session, head, said, { ...tail, cursor: JSON.stringify({ ...JSON.parse(tail.cursor), new: 1 }) })
  world.server.say('carol', 'alice', 'other')
  world.server.say('bob', 'alice', 'another')
  world.server.say('dave', 'alice', ...numbers(1, 9))
  await world.tick(60_000)
  assert.deepEqual([alice.texts('bob'), alice.texts('carol')], [['another', 'mine'], ['other']])
  assert.deepEqual(alice.states('bob'), ['received', 'sent'])
  assert.equal(world.server.conversation('alice', 'bob').events.length, 2)
})

test('two clients in one process know nothing of each other', async () => {
  const world = new World()
  const [alice, bob] = [await world.online('alice'), await world.online('bob')]
  world.server.say('carol', 'alice', 'for alice')
  alice.chat.send('dave', 'from alice')
  await world.tick(1000)
  assert.deepEqual(alice.chat.conversations().map(c => c.peer).sort(), ['carol', 'dave'])
  assert.deepEqual([bob.chat.conversations(), bob.chat.unread(), bob.of('messages')], [[], 0, []])
  assert.deepEqual([alice.chat.openid, bob.chat.openid], ['alice', 'bob'])
  // They share a storage as well, under two names.
  const device = world.device('erin')
  const erin = device.start({ storageKey: 'one' })
  await world.tick(50)
  world.server.say('carol', 'erin', 'for erin')
  await world.tick(2000)
  const frank = world.device('frank')
  frank.storage = device.storage
  frank.start({ storageKey: 'two' })
  await world.tick(50)
  assert.deepEqual([erin.openid, frank.chat.openid, frank.chat.conversations()], ['erin', 'frank', []])
})

async function open(world, device, peer) {
  const opened = device.chat.open(peer)
  await world.tick(10)
  await opened
}
async function older(world, device, peer) {
  const loaded = device.chat.loadOlder(peer)
  await world.tick(10)
  await loaded
}

test('who is written to without pause comes online, and the outbox goes out', async () => {
  const world = new World()
  const { server } = world
  const text = 'x'.repeat(1000)
  const peers = Array.from({ length: 14 }, (_, i) => `p${i}`)
  const write = () => peers.forEach(peer => server.say(peer, 'alice', text))
  for (let i = 0; i < 25; i++) write()
  const alice = await world.online('alice')
  alice.kill()
  for (let i = 0; i < 25; i++) write()
  const before = world.heard('sync').length
  // A second passes before each answer, in which all of them write.
  server.faults = frame => [{ ...frame, delay: 1000 }]
  alice.start()
  const sent = alice.chat.send('p0', 'I am here')
  for (let i = 0; i < 20; i++) {
    write()
    await world.tick(500)
  }
  server.reset()
  await world.tick(1100)
  assert.equal(alice.chat.state, 'online')
  assert.deepEqual(alice.chat.messages('p0').filter(m => m.client_msg_id === sent.client_msg_id).map(m => m.state), ['sent'])
  assert.equal(world.heard('sync').length - before, 3, 'two answers for the pages, one for what came meanwhile')
  for (const peer of peers) assert.equal(alice.chat.messages(peer).filter(m => !m.mine).pop().seq, server.conversation(peer, 'alice').events.filter(e => e.from === peer).pop().seq)
})

test('what came meanwhile keeps nobody offline', async () => {
  const world = new World()
  for (let i = 0; i < 400; i++) world.server.say(`p${i}`, 'alice', 'x'.repeat(600))
  const alice = world.device('alice')
  let isCaughtUp = false
  let closing = 0
  // The closing answer takes five seconds.
  world.server.faults = frame => {
    if (!frame.cursor) return [frame]
    if (isCaughtUp) closing++
    const delay = isCaughtUp ? 5000 : 0
    isCaughtUp = isCaughtUp || frame.caught_up
    return [{ ...frame, delay }]
  }
  alice.start()
  const sent = alice.chat.send('p1', 'I am here')
  await world.tick(100)
  assert.deepEqual([closing, alice.chat.state, alice.chat.conversations().length], [1, 'online', 400])
  assert.equal(alice.chat.messages('p1').find(m => m.client_msg_id === sent.client_msg_id).state, 'sent')
  await world.tick(6000)
  assert.equal(alice.chat.state, 'online')
})

test('a server that does not say when all is there has said it when there is no more', async () => {
  const world = new World()
  world.server.faults = ({ caught_up, ...frame }) => [frame]
  world.server.say('bob', 'alice', '1')
  const alice = await world.online('alice')
  assert.deepEqual(alice.texts('bob'), ['1'])
})
