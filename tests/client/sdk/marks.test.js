'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { extras } = require('../../../miniprogram/sdk/extras.js')
const { World } = require('./world.js')

async function open(world, device, peer) {
  const opened = device.chat.open(peer)
  await world.tick(10)
  await opened
}

test('what has come is told as received, gathered; what stands on screen as read', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.say('bob', 'alice', '1', '2', '3')
  world.server.say('carol', 'alice', '1')
  await world.tick(1000)
  assert.deepEqual(world.heard('recv').map(f => [f.to_user_openid, f.seq]), [['bob', 3], ['carol', 1]])
  assert.deepEqual(world.heard('read'), [])
  await open(world, alice, 'bob')
  assert.deepEqual([alice.chat.unread(), alice.chat.conversations().find(c => c.peer === 'bob').unread], [1, 0])
  world.server.say('bob', 'alice', '4')
  await world.tick(1000)
  assert.deepEqual(world.heard('read').map(f => [f.to_user_openid, f.seq]).pop(), ['bob', 4])
  assert.deepEqual([alice.chat.unread(), world.server.unread('alice', 'bob')], [1, 0])
  // Nothing of it was ever unread.
  assert.deepEqual(alice.of('unread').map(e => e.total), [4, 1])
  alice.chat.leave()
  world.server.say('bob', 'alice', '5')
  await world.tick(1000)
  assert.equal(alice.chat.unread(), 2)
  const told = world.server.heard.length
  await world.tick(5000)
  assert.equal(world.server.heard.length, told, 'what the server knows is not told again')
})

test('a hidden app has read nothing', async () => {
  const world = new World()
  const alice = await world.online('alice')
  await open(world, alice, 'bob')
  alice.app.on.hide()
  world.server.say('bob', 'alice', '1')
  await world.tick(2000)
  assert.deepEqual([alice.chat.unread(), world.heard('read').length], [1, 0])
  alice.app.on.show()
  assert.equal(alice.chat.unread(), 0)
  await world.tick(1000)
  assert.equal(world.server.unread('alice', 'bob'), 0)
})

test('what was read without a connection is told with the next one, also after a restart', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.say('bob', 'alice', '1', '2')
  await world.tick(2000)
  world.server.isUp = false
  world.server.cut()
  await world.tick(5)
  await alice.chat.open('bob').catch(() => {})
  assert.equal(alice.chat.unread(), 0)
  await world.tick(2000)
  alice.start()
  assert.equal(alice.chat.unread(), 0)
  world.server.isUp = true
  await world.tick(31_000)
  assert.deepEqual([world.server.member('alice', 'bob').read, alice.chat.unread()], [2, 0])
})

test('a mark that is lost is told again', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.answers = frame => (frame.type === 'read' || frame.type === 'recv' ? null : undefined)
  await open(world, alice, 'bob')
  world.server.say('bob', 'alice', '1')
  await world.tick(1000)
  assert.equal(world.server.member('alice', 'bob').read, 0)
  world.server.reset()
  world.server.cut()
  await world.tick(2000)
  const { read, recv } = world.server.member('alice', 'bob')
  assert.deepEqual([read, recv], [1, 1])
})

test('marks by another device', async () => {
  const world = new World()
  const [phone, tablet] = [await world.online('alice'), await world.online('alice')]
  world.server.say('bob', 'alice', '1', '2', '3')
  await world.tick(1000)
  assert.deepEqual([phone.chat.unread(), tablet.chat.unread()], [3, 3])
  await open(world, tablet, 'bob')
  const syncs = world.heard('sync').length
  await world.tick(1000)
  assert.equal(phone.chat.unread(), 0)
  assert.equal(world.heard('sync').length, syncs, 'nobody had to ask')
  // Some of them only: what is left, the server knows.
  tablet.chat.leave()
  world.server.say('bob', 'alice', '4', '5', '6')
  await world.tick(1000)
  world.server.mark('alice', 'bob', 'read', 5)
  world.server.tellMark('alice', 'bob', 'read')
  await world.tick(1000)
  assert.deepEqual([phone.chat.unread(), tablet.chat.unread()], [1, 1])
})

test('the first receipts of many conversations do not come all at once', async () => {
  const world = new World()
  for (let i = 0; i < 130; i++) world.server.say(`peer${i}`, 'alice', 'x')
  const alice = await world.online('alice')
  let most = 0
  for (let second = 0; second < 6; second++) {
    const before = world.heard('recv').length
    await world.tick(1000)
    most = Math.max(most, world.heard('recv').length - before)
  }
  assert.equal(world.heard('recv').length, 130)
  assert.ok(most < 50, `${most} in a second`)
  assert.equal(alice.chat.unread(), 130)
})

test('unread: from what was read, cleared or written oneself; recalls and what they recalled do not count', async () => {
  const world = new World()
  const alice = await world.online('alice')
  const check = async expected => {
    await world.tick(1000)
    assert.deepEqual([alice.chat.unread(), world.server.unread('alice', 'bob')], [expected, expected])
    // A device that has seen nothing of it agrees.
    const other = await world.online('alice')
    assert.equal(other.chat.unread(), expected)
    other.kill()
  }
  world.server.say('bob', 'alice', '1', '2', '3')
  await check(3)
  world.server.append('bob', 'alice', { type: 'recall', target: 2 })
  await check(2)
  world.server.say('bob', 'alice', '5')
  await check(3)
  alice.chat.send('bob', '6')
  await check(0)
  world.server.say('bob', 'alice', '7', '8')
  // Their own recall says nothing of having read.
  const recalled = alice.chat.recall('bob', 6)
  await world.tick(10)
  await recalled
  await check(2)
  // One that was read is recalled.
  world.server.append('bob', 'alice', { type: 'recall', target: 1 })
  await check(2)
  world.server.clear('alice', 'bob', 7)
  await check(1)
  world.server.say('bob', 'alice', ...Array.from({ length: 150 }, (_, i) => `${i}`))
  await check(151)
  // One that is counted, but not here any more.
  world.server.append('bob', 'alice', { type: 'recall', target: 8 })
  await check(150)
})

test('a recall empties the message for everybody, wherever it stands', async () => {
  const world = new World()
  const [alice, tablet, bob] = [await world.online('alice'), await world.online('alice'), await world.online('bob')]
  alice.chat.send('bob', 'secret', { extra: { size: 7 } })
  alice.chat.send('bob', 'other')
  await world.tick(2000)
  const [{ key }] = alice.chat.messages('bob')
  const recalled = alice.chat.recall('bob', 1)
  await world.tick(10)
  await recalled
  for (const device of [alice, tablet, bob]) {
    const peer = device === bob ? 'alice' : 'bob'
    assert.deepEqual(device.texts(peer), ['(recalled)', 'other'])
    const [message] = device.chat.messages(peer)
    assert.deepEqual([message.message, message.extra], ['', {}])
    assert.equal(device.chat.conversations()[0].last.message, 'other')
  }
  assert.equal(alice.chat.messages('bob')[0].key, key)
  await world.tick(2000)
  for (const device of [alice, bob]) assert.equal(JSON.stringify([...device.storage.items]).includes('secret'), false)
  // Again is no error and changes nothing.
  const again = alice.chat.recall('bob', 1)
  await world.tick(10)
  await again
  assert.deepEqual(alice.texts('bob'), ['(recalled)', 'other'])
})

test('a recall that was missed empties a cached message that is not on the page', async () => {
  const world = new World()
  const alice = await world.online('alice', { pageSize: 5 })
  world.server.say('bob', 'alice', ...Array.from({ length: 20 }, (_, i) => `${i + 1}`))
  await world.tick(10)
  assert.equal(alice.texts('bob').length, 20)
  world.server.cut()
  world.server.append('bob', 'alice', { type: 'recall', target: 3 })
  await world.tick(1000)
  assert.deepEqual(alice.texts('bob').slice(1, 4), ['2', '(recalled)', '4'])
  // And a page that already has it empty, without the recall itself.
  world.server.cut()
  world.server.append('bob', 'alice', { type: 'recall', target: 19 })
  world.server.say('bob', 'alice', 'a', 'b', 'c', 'd', 'e')
  await world.tick(1000)
  assert.equal(alice.texts('bob').includes('19'), false)
})

test('a recall that fails says why', async () => {
  const world = new World()
  const alice = await world.online('alice')
  alice.chat.send('bob', 'x')
  await world.tick(10)
  const rejected = async (seq, word, ms = 10) => {
    const promise = assert.rejects(alice.chat.recall('bob', seq), { word })
    await world.tick(ms)
    await promise
  }
  await rejected(7, 'not_found')
  await world.tick(121_000)
  await rejected(1, 'recall_expired')
  assert.deepEqual(alice.texts('bob'), ['x'])
  world.server.answers = frame => (frame.type === 'recall' ? null : undefined)
  await rejected(1, 'timeout', 10_010)
  world.server.isUp = false
  world.server.cut()
  await world.tick(1)
  await rejected(1, 'offline')
})

test('the first message to a peer shows them what was received and read before it', async () => {
  const world = new World()
  const [alice, bob, carol] = [await world.online('alice'), await world.online('bob'), await world.online('carol')]
  alice.chat.send('bob', 'hi')
  alice.chat.send('carol', 'hi')
  await world.tick(1000)
  await open(world, bob, 'alice')
  await world.tick(1000)
  assert.deepEqual([...alice.states('bob'), ...alice.states('carol')], ['sent', 'sent'])
  bob.chat.send('alice', 'hi')
  carol.chat.send('alice', 'not looked at')
  await world.tick(1000)
  assert.deepEqual([alice.states('bob')[0], alice.states('carol')[0]], ['read', 'delivered'])
  // The further ones have no need of that.
  const told = world.server.heard.length
  bob.chat.send('alice', 'again')
  await world.tick(1000)
  assert.deepEqual(world.server.heard.slice(told).map(({ openid, type }) => `${openid} ${type}`), ['bob text', 'alice recv'])
})

test('who types is seen for six seconds, or until the message is there', async () => {
  const world = new World()
  const [alice, bob] = [await world.online('alice'), await world.online('bob')]
  bob.chat.send('alice', 'hi')
  await world.tick(10)
  const isTyping = () => alice.chat.conversations()[0].typing
  for (let i = 0; i < 35; i++) {
    bob.chat.typing('alice')
    await world.tick(100)
  }
  assert.equal(world.heard('typing').length, 2, 'one in three seconds is passed on')
  assert.equal(isTyping(), true)
  const told = alice.of('conversations').length
  await world.tick(6000)
  assert.equal(isTyping(), false)
  assert.ok(alice.of('conversations').length > told)
  bob.chat.typing('alice')
  await world.tick(10)
  assert.equal(isTyping(), true)
  bob.chat.send('alice', 'there')
  await world.tick(10)
  assert.equal(isTyping(), false)
  // After a message, and in another chat, it is news at once.
  bob.chat.typing('alice')
  await world.tick(10)
  assert.equal(isTyping(), true)
  bob.chat.typing('dave')
  bob.chat.typing('dave')
  await world.tick(10)
  assert.deepEqual(world.heard('typing').slice(-2).map(frame => frame.to_user_openid), ['alice', 'dave'])
  // A stranger's makes no conversation, and without a connection it is nothing.
  bob.chat.typing('carol')
  world.server.cut()
  await world.tick(1)
  bob.chat.typing('alice')
})

test('a conversation removed here or on another device is gone on both, until a message follows', async () => {
  const world = new World()
  const [phone, tablet] = [await world.online('alice'), await world.online('alice')]
  world.server.say('bob', 'alice', '1', '2')
  world.server.say('carol', 'alice', 'c')
  await world.tick(10)
  world.server.answers = frame => (frame.message === 'bad' ? { type: 'error', status: 403, error: 'blocked' } : undefined)
  phone.chat.send('bob', 'bad')
  await world.tick(10)
  const removed = phone.chat.removeConversation('bob')
  await world.tick(400)
  await removed
  for (const device of [phone, tablet]) {
    assert.deepEqual(device.chat.conversations().map(c => c.peer), ['carol'])
    assert.deepEqual([device.chat.messages('bob'), device.chat.hasOlder('bob'), device.chat.unread()], [[], false, 1])
  }
  world.server.say('bob', 'alice', '3')
  await world.tick(1000)
  for (const device of [phone, tablet]) {
    assert.deepEqual([device.texts('bob'), device.chat.hasOlder('bob'), device.chat.unread()], [['3'], false, 2])
  }
  // Away while it happened.
  tablet.kill()
  world.server.clear('alice', 'bob')
  tablet.start()
  await world.tick(1000)
  assert.deepEqual([tablet.chat.messages('bob'), tablet.chat.unread()], [[], 1])
  assert.deepEqual(world.server.conversation('alice', 'bob').events.length, 3, 'the peer keeps theirs')
  world.server.isUp = false
  const offline = assert.rejects(phone.chat.removeConversation('carol'), { word: 'offline' })
  await world.tick(10)
  await offline
  assert.deepEqual(phone.chat.conversations().map(c => c.peer), ['carol'])
})

test('names and avatars: one call for all that are wanted, at most 100 each, kept over a restart', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.profiles.set('peer1', { nickname: 'One', avatar: '/v1/avatars/1' })
  for (let i = 0; i < 150; i++) alice.chat.user(`peer${i}`)
  assert.deepEqual(alice.chat.user('peer1'), { openid: 'peer1', nickname: '', avatar: '' })
  await world.tick(50)
  const calls = () => world.server.calls.filter(call => call.path === '/v1/users')
  assert.deepEqual(calls().map(call => call.query.openids.split(',').length), [100, 50])
  assert.deepEqual(alice.chat.user('peer1'), { openid: 'peer1', nickname: 'One', avatar: 'http://chat.example/v1/avatars/1' })
  assert.deepEqual(alice.of('users').map(e => e.openids.length), [100, 50])
  for (let i = 0; i < 150; i++) alice.chat.user(`peer${i}`)
  await world.tick(50)
  assert.equal(calls().length, 2)
  world.server.isUp = false
  alice.start()
  assert.equal(alice.chat.user('peer1').nickname, 'One')
  // What could not be had is asked for again with the next connection.
  await world.tick(1000)
  world.server.isUp = true
  world.server.profiles.set('peer1', { nickname: 'Uno' })
  await world.tick(31_000)
  alice.chat.user('peer1')
  await world.tick(50)
  assert.equal(alice.chat.user('peer1').nickname, 'Uno')
  const set = alice.chat.setProfile({ nickname: 'Alice', avatar: 'aGk=' })
  await world.tick(50)
  assert.deepEqual(await set, { openid: 'alice', nickname: 'Alice', avatar: 'http://chat.example/v1/avatars/abc' })
  assert.deepEqual(alice.chat.me(), await set)
  assert.deepEqual(alice.of('users').pop().openids, ['alice'])
  world.server.http = () => ({ status: 400, body: { status: 400, error: 'bad_request', message: 'the picture is no picture' } })
  const refused = assert.rejects(alice.chat.setProfile({ avatar: 'x' }), { word: 'bad_request', message: 'the picture is no picture' })
  await world.tick(50)
  await refused
})

test('a muted conversation keeps its count and leaves the sum, on all devices and after a restart', async () => {
  const world = new World()
  world.server.say('bob', 'alice', '1', '2')
  world.server.say('carol', 'alice', '1')
  const alice = await world.online('alice')
  const tablet = await world.online('alice', { storageKey: 'tablet' })
  const muted = device => device.chat.conversations().filter(c => c.muted).map(c => c.peer)
  assert.deepEqual([alice.chat.unread(), muted(alice)], [3, []])
  const done = alice.chat.setMuted('bob', true)
  await world.tick(20)
  await done
  for (const device of [alice, tablet]) {
    assert.deepEqual([device.chat.unread(), muted(device)], [1, ['bob']])
    assert.equal(device.chat.conversations().find(c => c.peer === 'bob').unread, 2)
  }
  assert.deepEqual(alice.of('unread').map(e => e.total), [3, 1])
  world.server.say('bob', 'alice', '3')
  await world.tick(20)
  assert.equal(alice.chat.unread(), 1)
  await world.tick(2000)

  // What was changed while a device was away.
  tablet.kill()
  world.server.isUp = false
  alice.start()
  assert.deepEqual([alice.chat.unread(), muted(alice)], [1, ['bob']], 'it is remembered')
  alice.kill()
  world.server.isUp = true
  world.server.set('alice', 'bob', { muted: false })
  alice.start()
  await world.tick(50)
  assert.deepEqual([alice.chat.unread(), muted(alice)], [4, []])
  const refused = assert.rejects(alice.chat.setMuted('dora', true), { word: 'not_found' })
  await world.tick(20)
  await refused
  // Of which nothing was heard but a message.
  world.server.say('erin', 'alice', '1')
  await world.tick(20)
  assert.deepEqual(alice.chat.conversations().map(c => [c.peer, c.muted]), [['erin', false], ['bob', false], ['carol', false]])
})

test('a pinned conversation is so on all devices and after a restart, and its place in the list is the same', async () => {
  const world = new World()
  world.server.say('bob', 'alice', '1')
  world.server.say('carol', 'alice', '1')
  const alice = await world.online('alice', { parts: [extras] })
  const tablet = await world.online('alice', { storageKey: 'tablet' })
  const list = device => device.chat.conversations().map(c => [c.peer, c.pinned])
  assert.deepEqual(list(alice), [['carol', false], ['bob', false]])
  const done = alice.chat.setPinned('bob', true)
  await world.tick(20)
  assert.equal(await done, undefined)
  for (const device of [alice, tablet]) assert.deepEqual(list(device), [['carol', false], ['bob', true]])
  assert.ok(alice.of('conversations').length > 0)
  // The one setting leaves the other as it is.
  const muted = alice.chat.setMuted('bob', true)
  await world.tick(20)
  await muted
  for (const device of [alice, tablet]) assert.deepEqual(device.chat.conversations().filter(c => c.muted && c.pinned).map(c => c.peer), ['bob'])
  await world.tick(2000)

  tablet.kill()
  world.server.isUp = false
  alice.start({ parts: [extras] })
  assert.deepEqual(list(alice), [['carol', false], ['bob', true]], 'it is remembered')
  alice.kill()
  world.server.isUp = true
  world.server.set('alice', 'bob', { pinned: false })
  world.server.set('alice', 'carol', { pinned: true })
  alice.start({ parts: [extras] })
  await world.tick(50)
  assert.deepEqual(list(alice), [['carol', true], ['bob', false]], 'what was changed while the device was away')
  const refused = assert.rejects(alice.chat.setPinned('dora', true), { word: 'not_found' })
  await world.tick(20)
  await refused
  assert.deepEqual(list(alice), [['carol', true], ['bob', false]])
})

test('twenty are pinned and no more', async () => {
  const world = new World()
  const peers = Array.from({ length: 21 }, (_, n) => `peer${n}`)
  for (const peer of peers) world.server.say(peer, 'alice', '1')
  const alice = await world.online('alice', { parts: [extras] })
  for (const peer of peers.slice(0, 20)) {
    const done = alice.chat.setPinned(peer, true)
    await world.tick(20)
    await done
  }
  const refused = assert.rejects(alice.chat.setPinned('peer20', true), { word: 'too_large', status: 413 })
  await world.tick(20)
  await refused
  assert.equal(alice.chat.conversations().filter(c => c.pinned).length, 20)
})

test('a node of an earlier release, which says nothing of pins, takes none away', async () => {
  const world = new World()
  world.server.say('bob', 'alice', '1')
  const alice = await world.online('alice')
  world.server.set('alice', 'bob', { pinned: true })
  await world.tick(20)
  const pinned = () => alice.chat.conversations().map(c => [c.muted, c.pinned])
  world.server.push('alice', { type: 'settings', status: 200, peer: 'bob', muted: true })
  await world.tick(20)
  assert.deepEqual(pinned(), [[true, true]])
  const { overview } = world.server
  world.server.overview = function (...of) {
    const { pinned: _, ...rest } = overview.apply(this, of)
    return rest
  }
  world.server.say('bob', 'alice', '2')
  const refreshed = alice.chat.refresh()
  await world.tick(1000)
  await refreshed
  assert.deepEqual(pinned(), [[false, true]])
})

test('how far it was read is told before the chat is opened', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.say('bob', 'alice', '1', '2')
  await world.tick(1000)
  const read = () => alice.chat.conversations()[0].read_seq
  assert.equal(read(), 0)
  await open(world, alice, 'bob')
  assert.equal(read(), 2)
  alice.chat.leave()
  world.server.say('bob', 'alice', '3')
  await world.tick(1000)
  assert.equal(read(), 2)
})
