'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { World } = require('./world.js')

test('a message is sending, sent, delivered and read', async () => {
  const world = new World()
  const [alice, bob] = [await world.online('alice'), await world.online('bob')]
  const message = alice.chat.send('bob', 'hello', { type: 'card', extra: { size: 7 } })
  assert.deepEqual([message.state, message.seq, message.mine, message.type], ['sending', 0, true, 'card'])
  assert.deepEqual(alice.chat.messages('bob'), [message])
  await world.tick(2)
  assert.deepEqual(alice.states('bob'), ['sent'])
  const [sent] = alice.chat.messages('bob')
  assert.deepEqual([sent.key, sent.seq, sent.client_msg_id, sent.extra], [message.key, 1, message.client_msg_id, { size: 7 }])
  assert.match(sent.key, /^[a-z]\w+$/)
  // Bob has not written to alice yet: a stranger's receipts are not told.
  await world.tick(600)
  assert.deepEqual(alice.states('bob'), ['sent'])
  bob.chat.send('alice', 'hi')
  await world.tick(600)
  alice.chat.send('bob', 'how are you')
  await world.tick(600)
  assert.deepEqual(alice.states('bob'), ['delivered', 'received', 'delivered'])
  await bob.chat.open('alice')
  await world.tick(600)
  assert.deepEqual(alice.states('bob'), ['read', 'received', 'read'])
  const [received] = bob.chat.messages('alice')
  assert.deepEqual([received.type, received.message, received.extra, received.state], ['card', 'hello', { size: 7 }, 'received'])
})

test('what is written while there is no connection goes out in order afterwards, one at a time', async () => {
  const world = new World()
  const alice = world.device('alice')
  world.server.isUp = false
  alice.start()
  for (const text of ['1', '2', '3', '4']) alice.chat.send('bob', text)
  await world.tick(3000)
  assert.deepEqual(alice.states('bob'), ['sending', 'sending', 'sending', 'sending'])
  let underWay = 0
  world.server.isUp = true
  world.server.answers = frame => {
    if (frame.type === 'text') assert.equal(++underWay, 1)
  }
  world.server.faults = frame => {
    if (frame.type === 'ack') underWay--
    return [frame]
  }
  await world.tick(40000)
  assert.deepEqual(alice.texts('bob'), ['1', '2', '3', '4'])
  assert.deepEqual(alice.states('bob'), ['sent', 'sent', 'sent', 'sent'])
  assert.deepEqual(world.heard('text').map(frame => frame.message), ['1', '2', '3', '4'])
})

test('a sync comes before the outbox, and before what is written meanwhile', async () => {
  const world = new World()
  const alice = world.device('alice')
  world.server.faults = frame => [frame.type === 'sync' ? { ...frame, delay: 100 } : frame]
  alice.start()
  alice.chat.send('bob', '1')
  await world.tick(50)
  alice.chat.send('bob', '2')
  await world.tick(40)
  assert.deepEqual([world.heard('sync').length, world.heard('text')], [1, []])
  await world.tick(100)
  assert.deepEqual(world.heard('text').map(frame => frame.message), ['1', '2'])
})

for (const how of ['the socket ends', 'the socket falls silent']) {
  test(`a lost ack, and ${how}: the message is stored once and stands once`, async () => {
    const world = new World()
    const alice = await world.online('alice')
    world.server.faults = frame => (frame.type === 'ack' ? [] : [frame])
    alice.chat.send('bob', 'once')
    alice.chat.send('bob', 'twice')
    await world.tick(5)
    world.server.reset()
    assert.deepEqual(alice.states('bob'), ['sending', 'sending'])
    if (how === 'the socket ends') world.server.cut()
    else world.server.vanish()
    await world.tick(20000)
    assert.deepEqual(alice.texts('bob'), ['once', 'twice'])
    assert.deepEqual(alice.states('bob'), ['sent', 'sent'])
    // The sync brought it: it did not even go out again.
    assert.deepEqual(world.heard('text').map(frame => frame.message), ['once', 'twice'])
    assert.equal(world.server.conversation('alice', 'bob').events.length, 2)
  })
}

test('a lost ack on a socket that lives: after 10 s the same message goes out again, before the next one', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.faults = frame => (frame.type === 'ack' ? [] : [frame])
  alice.chat.send('bob', '1')
  alice.chat.send('bob', '2')
  // Others go on, so that the socket is not dead.
  for (let i = 0; i < 9; i++) {
    await world.tick(1000)
    world.server.say('carol', 'alice', 'noise')
  }
  assert.equal(world.heard('text').length, 1)
  world.server.reset()
  await world.tick(1500)
  assert.deepEqual(world.heard('text').map(frame => frame.message), ['1', '1', '2'])
  const [first, again] = world.heard('text')
  assert.equal(first.client_msg_id, again.client_msg_id)
  assert.deepEqual(alice.texts('bob'), ['1', '2'])
  assert.deepEqual(alice.states('bob'), ['sent', 'sent'])
})

test('a lost ack of a message that others have buried: it is acked again, and not shown at the end', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.faults = frame => (frame.type === 'ack' ? [] : [frame])
  alice.chat.send('bob', 'mine')
  await world.tick(5)
  world.server.isUp = false
  world.server.cut()
  world.server.reset()
  world.server.say('bob', 'alice', ...Array.from({ length: 50 }, (_, i) => `b${i}`))
  world.server.isUp = true
  await world.tick(31000)
  assert.equal(alice.texts('bob').length, 20)
  assert.equal(alice.texts('bob').includes('mine'), false)
  while (alice.chat.hasOlder('bob')) {
    const more = alice.chat.loadOlder('bob')
    await world.tick(10)
    await more
  }
  assert.deepEqual(alice.texts('bob').slice(0, 2), ['mine', 'b0'])
  assert.equal(alice.chat.messages('bob').length, 51)
})

test('a message that is refused for good fails, and the next one goes on; retry puts it at the end, discard forgets it', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.answers = frame => (frame.message === 'bad' ? { type: 'error', status: 403, error: 'blocked', message: 'no' } : undefined)
  for (const text of ['good', 'bad', 'fine', 'bad']) alice.chat.send('bob', text)
  await world.tick(100)
  assert.deepEqual(alice.texts('bob'), ['good', 'fine', 'bad', 'bad'])
  assert.deepEqual(alice.states('bob'), ['sent', 'sent', 'failed', 'failed'])
  const [, , first, second] = alice.chat.messages('bob')
  assert.deepEqual([first.error.word, first.error.message, first.error.status], ['blocked', 'no', 403])
  world.server.reset()
  alice.chat.retry('bob', first.client_msg_id)
  alice.chat.discard('bob', second.client_msg_id)
  alice.chat.retry('bob', 'nothing of that name')
  await world.tick(100)
  assert.deepEqual(alice.states('bob'), ['sent', 'sent', 'sent'])
  const [, , sent] = alice.chat.messages('bob')
  assert.deepEqual([sent.client_msg_id, sent.key, sent.error, sent.seq], [first.client_msg_id, first.key, undefined, 3])
})

test('a message that cannot be taken now is sent again when the server says so, and is not overtaken', async () => {
  const world = new World()
  const alice = await world.online('alice')
  let refusals = 2
  world.server.answers = frame => {
    if (frame.type === 'text' && frame.to_user_openid === 'bob' && refusals-- > 0) return { type: 'error', status: 503, error: 'unavailable', retry_after_ms: 1000 }
  }
  for (const text of ['1', '2']) alice.chat.send('bob', text)
  alice.chat.send('carol', 'not held up')
  await world.tick(900)
  assert.deepEqual(alice.states('carol'), ['sent'])
  assert.deepEqual(world.heard('text').map(frame => frame.message), ['1', 'not held up'])
  await world.tick(3000)
  assert.deepEqual(world.heard('text').map(frame => frame.message), ['1', 'not held up', '1', '1', '2'])
  assert.deepEqual(alice.states('bob'), ['sent', 'sent'])
})

test('a limit that lasts for hours is told to the user', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.answers = frame => (frame.type === 'text' ? { type: 'error', status: 429, error: 'rate_limited', retry_after_ms: 7_200_000 } : undefined)
  alice.chat.send('bob', 'x')
  await world.tick(10)
  const [{ state, error }] = alice.chat.messages('bob')
  assert.deepEqual([state, error.word, error.retry_after_ms], ['failed', 'rate_limited', 7_200_000])
})

test('what the server would not take is refused at once', async () => {
  const world = new World()
  const alice = await world.online('alice')
  alice.chat.send('bob', 'x'.repeat(8192))
  const tooLarge = { word: 'too_large' }
  assert.throws(() => alice.chat.send('bob', 'x'.repeat(8193)), tooLarge)
  assert.throws(() => alice.chat.send('bob', '鸿'.repeat(2731)), tooLarge)
  assert.throws(() => alice.chat.send('bob', '😀'.repeat(2049)), tooLarge)
  assert.throws(() => alice.chat.send('bob', '', { type: 'file', extra: { more: 'x'.repeat(16384) } }), tooLarge)
  // Half an emoji and a NUL are bad frames.
  alice.chat.send('bob', 'half \ud83d and \0 nothing 😀')
  await world.tick(50)
  assert.equal(alice.texts('bob')[1], 'half \ufffd and \ufffd nothing 😀')
  assert.deepEqual(alice.states('bob'), ['sent', 'sent'])
})

test('names that are the protocol\'s do no harm among the extra fields', async () => {
  const world = new World()
  const alice = await world.online('alice')
  alice.chat.send('bob', 'x', { extra: { id: 7, type: 'recall', to_user_openid: 'carol', message: 'y', client_msg_id: 'z' } })
  await world.tick(10)
  const [frame] = world.heard('text')
  assert.deepEqual([frame.to_user_openid, frame.message, typeof frame.id], ['bob', 'x', 'string'])
  assert.deepEqual(alice.states('bob'), ['sent'])
})

test('own messages from another device stand in the same place, and count as read', async () => {
  const world = new World()
  const [phone, tablet] = [await world.online('alice'), await world.online('alice')]
  world.server.say('bob', 'alice', 'b1', 'b2')
  await world.tick(10)
  assert.equal(tablet.chat.unread(), 2)
  phone.chat.send('bob', 'from the phone')
  await world.tick(10)
  assert.deepEqual(tablet.texts('bob'), ['b1', 'b2', 'from the phone'])
  assert.deepEqual(tablet.states('bob'), ['received', 'received', 'sent'])
  assert.equal(tablet.chat.unread(), 0)
  assert.equal(tablet.of('incoming').length, 2)
})

test('a message to oneself is never unread', async () => {
  const world = new World()
  const [phone, tablet] = [await world.online('alice'), await world.online('alice')]
  phone.chat.send('alice', 'note')
  await world.tick(1000)
  assert.deepEqual([phone.texts('alice'), tablet.texts('alice'), tablet.chat.unread()], [['note'], ['note'], 0])
})

test('types that are names of JavaScript\'s are messages', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.append('__proto__', 'alice', { type: 'constructor', message: 'hm', client_msg_id: '1' })
  world.server.append('constructor', 'alice', { type: '__proto__', message: 'hm', client_msg_id: '1' })
  await world.tick(10)
  assert.deepEqual(alice.texts('__proto__'), ['hm'])
  assert.deepEqual(alice.chat.conversations().map(c => c.peer).sort(), ['__proto__', 'constructor'])
})

for (const [code, reason] of [[4501, 'unauthorized'], [4503, 'replaced'], [4504, 'kicked'], [4001, 'draining retry_ms=100']]) {
  test(`a message that was on its way when the socket was closed with ${code} ${reason} goes out with the next one, before those after it`, async () => {
    const world = new World()
    const alice = await world.online('alice')
    world.server.answers = (frame, session) => {
      if (frame.type !== 'text') return
      world.server.reset()
      session.end(code, reason)
      return null
    }
    alice.chat.send('bob', '1')
    alice.chat.send('bob', '2')
    await world.tick(5)
    assert.deepEqual(alice.states('bob'), ['sending', 'sending'])
    alice.chat.start()
    await world.tick(1000)
    assert.deepEqual([alice.texts('bob'), alice.states('bob')], [['1', '2'], ['sent', 'sent']])
  })
}

test('a page that lies over a chat takes nothing from it; another chat that is opened does', async () => {
  const world = new World()
  const alice = await world.online('alice')
  const texts = Array.from({ length: 150 }, (_, i) => `${i}`)
  world.server.say('bob', 'alice', ...texts)
  await world.tick(1000)
  await Promise.all([alice.chat.open('bob'), world.tick(100)])
  while (alice.chat.hasOlder('bob')) await Promise.all([alice.chat.loadOlder('bob'), world.tick(100)])
  assert.deepEqual(alice.texts('bob'), texts)
  alice.chat.leave()
  world.server.say('bob', 'alice', 'meanwhile')
  await world.tick(1000)
  assert.deepEqual(alice.texts('bob'), [...texts, 'meanwhile'])
  // Nor does a connection that was lost meanwhile, whatever was missed.
  world.server.cut()
  const missed = Array.from({ length: 50 }, (_, i) => `missed ${i}`)
  world.server.say('bob', 'alice', ...missed)
  await world.tick(5000)
  assert.deepEqual(alice.texts('bob'), [...texts, 'meanwhile', ...missed])
  await Promise.all([alice.chat.open('carol'), world.tick(100)])
  world.server.say('bob', 'alice', 'later')
  await world.tick(1000)
  assert.deepEqual(alice.texts('bob'), [...texts, 'meanwhile', ...missed, 'later'].slice(-100))
})
