'use strict'

/** Two clients on the real server, which is killed and comes back while both write. */

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const WebSocket = require('ws')
const { createClient } = require('../../../miniprogram/sdk/hongyan.js')
const { Server, atEnd } = require('../server')

const DEADLINE_MS = 120_000

/** Node has no `wx`: a third adapter. */
function nodeAdapter(name) {
  const items = new Map()
  return {
    login: async () => `dev:${name}`,
    async request({ method, url, headers, body }) {
      const answer = await fetch(url, { method, headers, body: body && JSON.stringify(body) })
      return { status: answer.status, body: await answer.json().catch(() => undefined) }
    },
    connect({ url, token }, on) {
      const socket = new WebSocket(url, ['hongyan.v1'], { headers: { Authorization: `Bearer ${token}` } })
      socket.on('open', on.open)
      socket.on('message', data => on.message(String(data)))
      socket.on('close', (code, reason) => on.close(code, String(reason)))
      socket.on('error', () => {})
      return { send: text => socket.send(text), close: (code, reason) => socket.close(code, reason) }
    },
    storage: { get: key => items.get(key), set: (key, value) => items.set(key, value), remove: key => items.delete(key) },
    watch: () => () => {},
  }
}
/** Its timers keep no process alive. */
const clock = { now: Date.now, random: Math.random, setTimeout: (run, ms) => setTimeout(run, ms).unref() }
const client = (server, name, adapter = nodeAdapter(name)) => createClient({ url: server.url, adapter, clock })

/** When that is so; it is looked at with every event. */
function until(chats, what, isSo) {
  return new Promise((resolve, reject) => {
    const offs = []
    const late = setTimeout(() => done(reject, new Error(`not in time: ${what}`)), DEADLINE_MS)
    const done = (end, value) => {
      clearTimeout(late)
      for (const off of offs) off()
      end(value)
    }
    const look = () => isSo() && done(resolve)
    for (const chat of chats) for (const event of ['state', 'messages', 'conversations', 'users']) offs.push(chat.on(event, look))
    look()
  })
}

test('nothing is lost, doubled or out of order, however often the server is killed', async t => {
  // A recall that comes too fast is not tried again by itself.
  const server = await Server.start(t, '--set', 'limits.messages_per_second=0')
  const adapters = { alice: nodeAdapter('alice'), bob: nodeAdapter('bob') }
  let alice = client(server, 'alice', adapters.alice)
  const bob = client(server, 'bob', adapters.bob)
  atEnd(t, () => {
    alice.stop()
    bob.stop()
  })
  const wrote = { alice: 0, bob: 0 }
  const write = (chat, name, peer, count) => {
    for (let i = 0; i < count; i++) chat.send(peer, `${name} ${++wrote[name]}`)
  }
  const acked = (chat, peer) => chat.messages(peer).filter(m => m.mine && m.seq).length
  alice.start()
  bob.start()
  await until([alice, bob], 'both are online', () => alice.state === 'online' && bob.state === 'online')
  await Promise.all([alice.open('bob'), bob.open('alice')])

  for (let round = 0; round < 3; round++) {
    const before = [acked(alice, 'bob'), acked(bob, 'alice')]
    write(alice, 'alice', 'bob', 20)
    write(bob, 'bob', 'alice', 20)
    // Killed in the middle: some are acked, others are not.
    await until([alice, bob], 'some are acked', () => acked(alice, 'bob') > before[0] && acked(bob, 'alice') > before[1])
    await server.kill()
    write(alice, 'alice', 'bob', 5)
    await until([alice, bob], 'both notice', () => alice.state !== 'online' && bob.state !== 'online')
    if (round === 1) {
      // The app dies with the server.
      alice.stop()
      alice = client(server, 'alice', adapters.alice)
      alice.start()
    }
    await server.restart()
  }
  const all = wrote.alice + wrote.bob
  const shown = (chat, peer) => chat.messages(peer).filter(m => m.seq).length
  await alice.open('bob').catch(() => {})
  await until([alice, bob], 'everything is there', () => {
    for (const [chat, peer] of [[alice, 'bob'], [bob, 'alice']]) if (chat.state === 'online' && chat.hasOlder(peer)) chat.loadOlder(peer).catch(() => {})
    return shown(alice, 'bob') === all && shown(bob, 'alice') === all
  })

  const [one, other] = [alice.messages('bob'), bob.messages('alice')]
  assert.deepEqual(one.map(m => m.seq), Array.from({ length: all }, (_, i) => i + 1))
  assert.deepEqual(one.map(m => m.message), other.map(m => m.message))
  for (const name of ['alice', 'bob']) {
    const texts = one.map(m => m.message).filter(text => text.startsWith(name))
    assert.deepEqual(texts, Array.from({ length: wrote[name] }, (_, i) => `${name} ${i + 1}`))
  }
  await until([alice, bob], 'all is read', () => alice.messages('bob').every(m => !m.mine || m.state === 'read') && bob.messages('alice').every(m => !m.mine || m.state === 'read'))

  // The rest of what there is to ask the real server for.
  await alice.recall('bob', one.filter(m => m.mine).pop().seq)
  await until([bob], 'the recall', () => bob.messages('alice').some(m => m.recalled))
  bob.leave()
  alice.send('bob', 'unread', { type: 'card', extra: { size: 7 } })
  await until([bob], 'the badge', () => bob.unread() === 1)
  assert.deepEqual(bob.conversations()[0].last.extra, { size: 7 })
  alice.typing('bob')
  await until([bob], 'the typing', () => bob.conversations()[0].typing)
  await bob.refresh()
  await bob.removeConversation('alice')
  await until([bob], 'an empty list', () => bob.conversations().length === 0 && bob.unread() === 0)
  await bob.signOut()
  bob.start()
  await until([bob], 'signed in anew', () => bob.state === 'online')
  assert.deepEqual(bob.conversations(), [])
})

test('the first answer to somebody shows them what was read before it', async t => {
  const server = await Server.start(t, '--set', 'limits.http_per_second=0')
  const [carol, dave] = [client(server, 'carol'), client(server, 'dave')]
  atEnd(t, () => {
    carol.stop()
    dave.stop()
  })
  carol.start()
  dave.start()
  await until([carol, dave], 'both are online', () => carol.state === 'online' && dave.state === 'online')
  carol.send('dave', 'hello')
  await until([dave], 'it is there', () => dave.messages('carol').length === 1)
  await dave.open('carol')
  for (let read = 0; !read;) [{ read_seq: read }] = (await server.request('GET', '/v1/conversations', { as: 'dave' })).conversations
  assert.deepEqual(carol.messages('dave').map(m => m.state), ['sent'], 'a stranger does not learn it')
  dave.send('carol', 'hi')
  await until([carol], 'it is read', () => carol.messages('dave')[0].state === 'read')
})

test('who is written to by many without pause comes online, and what was written meanwhile goes out', async t => {
  const server = await Server.start(t, '--set', 'limits.messages_per_second=0', '--set', 'limits.http_per_second=0')
  const adapter = nodeAdapter('hub')
  let hub = client(server, 'hub', adapter)
  const peers = Array.from({ length: 14 }, (_, i) => client(server, `peer${i}`))
  let beat
  atEnd(t, () => {
    clearInterval(beat)
    for (const each of [hub, ...peers]) each.stop()
  })
  const text = 'x'.repeat(1000)
  const write = (chat, count) => {
    for (let i = 0; i < count; i++) chat.send('hub', text)
  }
  const acked = chat => chat.messages('hub').filter(m => m.seq).length
  for (const each of [hub, ...peers]) each.start()
  await until([hub, ...peers], 'all are online', () => [hub, ...peers].every(each => each.state === 'online'))
  peers.forEach(each => write(each, 1))
  await until([hub], 'the first message of each', () => hub.conversations().length === 14)
  hub.stop()
  // Of each more than a page, all pages together more than an answer.
  peers.forEach(each => write(each, 25))
  await until(peers, 'what is missed', () => peers.every(each => acked(each) === 26))
  beat = setInterval(() => peers.forEach(each => each.messages('hub').every(m => m.seq) && write(each, 1)), 100)
  hub = client(server, 'hub', adapter)
  const { client_msg_id: id } = hub.send('peer0', 'I am back')
  hub.start()
  await until([hub], 'online, and its message acked, while they write', () => hub.state === 'online' && hub.messages('peer0').some(m => m.client_msg_id === id && m.seq))
})

test('after a restore from a backup every new message is seen, by who was there and by who comes later', async t => {
  const server = await Server.start(t, '--set', 'limits.messages_per_second=0', '--set', 'limits.http_per_second=0')
  const adapters = { alice: nodeAdapter('alice'), late: nodeAdapter('alice') }
  const alice = client(server, 'alice', adapters.alice)
  let late = client(server, 'alice', adapters.late)
  const bob = client(server, 'bob')
  atEnd(t, () => [alice, late, bob].forEach(each => each.stop()))
  const write = (from, to) => {
    for (let i = from; i <= to; i++) bob.send('alice', `${i}`)
  }
  const shown = (chat, peer) => chat.messages(peer).filter(m => m.seq).map(m => m.message)
  for (const each of [alice, late, bob]) each.start()
  await until([alice, late, bob], 'all are online', () => [alice, late, bob].every(each => each.state === 'online'))
  write(1, 7)
  await until([alice, late, bob], 'seven', () => [shown(alice, 'bob'), shown(late, 'bob'), shown(bob, 'alice')].every(texts => texts.length === 7))
  server.command('backup', 'copy.db')
  write(8, 12)
  await until([alice, late, bob], 'twelve', () => [shown(alice, 'bob'), shown(late, 'bob'), shown(bob, 'alice')].every(texts => texts.length === 12))
  late.stop()

  await server.kill()
  const database = path.join(server.folder, 'data/hongyan.db')
  for (const end of ['-wal', '-shm']) fs.rmSync(database + end, { force: true })
  fs.renameSync(path.join(server.folder, 'copy.db'), database)
  await server.restart()
  await until([alice, bob], 'back', () => alice.state === 'online' && bob.state === 'online')
  write(101, 106)
  const whole = [1, 2, 3, 4, 5, 6, 7, 101, 102, 103, 104, 105, 106].join()
  await until([alice, bob], 'all thirteen', () => shown(alice, 'bob').join() === whole && shown(bob, 'alice').join() === whole)
  late = client(server, 'alice', adapters.late)
  late.start()
  await until([late], 'all thirteen, for who comes later', () => shown(late, 'bob').join() === whole)
})

test('what a call lets through, the server reads: the widest, the deepest, and what was mended', async t => {
  const server = await Server.start(t)
  const alice = client(server, 'alice')
  atEnd(t, () => alice.stop())
  alice.start()
  await until([alice], 'alice is online', () => alice.state === 'online')
  const wide = Object.fromEntries(Array.from({ length: 120 }, (_, i) => [`f${i}`, i]))
  const deep = Array.from({ length: 31 }).reduce(inner => ({ inner }), {})
  const odd = { 'half \ud83d': ['\ud83d', '\0', '\\ud83d', '\\u0000'], status: 'x', seq: [], group: 1, target_seq: 'x', recalled: 'x', from_user_openid: 'bob', to_user_openid: 7, id: {}, __proto__: null }
  const peers = ['bob', '__proto__', 'constructor', '-', '_', '0', 'x'.repeat(64)]
  for (const extra of [wide, deep, odd]) for (const type of ['text', 'image', 'voice', 'video', 'file', 'location', 'card', 'custom']) alice.send('bob', 'half \ud83d \0', { type, extra })
  for (const peer of peers) alice.send(peer, 'x')
  await until([alice], 'all is sent', () => peers.every(peer => alice.messages(peer).length && alice.messages(peer).every(({ seq, state }) => seq && state === 'sent')))
  assert.equal(alice.messages('bob').length, 25)
  assert.equal(alice.state, 'online')
})
