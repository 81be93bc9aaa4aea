'use strict'

/** The seam for parts of the SDK, by parts like those to come. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { createNotices, notices } = require('../../../miniprogram/sdk/notices.js')
const { World } = require('./world.js')

/** Who is there: a feature of the handshake, a frame and an event of its own, and a question. */
function presence({ client, knows, frames, listeners, emit, ask }) {
  knows.push('presence')
  listeners.presence = new Set()
  const states = new Map()
  frames.presence = ({ peers }) => {
    for (const { peer, state } of peers) states.set(peer, state)
    emit('presence', { peers: peers.map(each => each.peer) })
  }
  let peers = []
  client.on('state', ({ state }) => state === 'online' && client.watchPresence(peers).catch(() => {}))
  return {
    watchPresence: async next => {
      peers = next
      await ask({ type: 'presence', peers })
    },
    presence: peer => states.get(peer) || 'unknown',
  }
}

/** Reactions: events that change an earlier message, shown with it. */
function reactions({ client, rowOf }) {
  const { messages } = client
  return {
    messages: peer => messages(peer).map(message => {
      const on = rowOf(peer).window.filter(event => event.type === 'reaction' && event.extra.of_seq === message.seq)
      return on.length ? { ...message, reactions: on.map(event => event.message) } : message
    }),
  }
}

/** Something that is kept: a note a chat. */
function notes({ rowOf, changed, load, store }) {
  const kept = load('notes', {})
  return {
    note: peer => kept[peer] || '',
    setNote(peer, text) {
      const row = rowOf(peer)
      kept[peer] = text
      store('notes', kept)
      changed(row)
    },
  }
}

test('a client has the calls of its parts; another one has not', async () => {
  const world = new World()
  const alice = await world.online('alice', { parts: [presence, notes] })
  const bob = await world.online('bob')
  assert.deepEqual(['presence', 'watchPresence', 'note', 'setNote', 'send'].map(name => typeof alice.chat[name]), Array(5).fill('function'))
  assert.deepEqual(['presence', 'watchPresence', 'note', 'setNote', 'send'].map(name => typeof bob.chat[name]), [...Array(4).fill('undefined'), 'function'])
})

test('the handshake says what the parts know, and nothing without them', async () => {
  const world = new World()
  const urls = []
  const { connect } = world.server
  world.server.connect = (socket, on) => {
    urls.push(new URL(socket.url).search.replace(/device=\w+/, 'device=x'))
    return connect.call(world.server, socket, on)
  }
  await world.online('alice')
  await world.online('bob', { parts: [presence] })
  await world.online('carol', { parts: [presence, ({ knows }) => (knows.push('groups'), {})] })
  assert.deepEqual(urls, ['?device=x', '?device=x&features=presence', '?device=x&features=presence,groups'])
})

test('a part asks, is answered, and hears frames of its own; listeners hear of them', async () => {
  const world = new World()
  world.server.answers = ({ type, peers }) => type === 'presence' && { type, status: 200, peers: peers.map(peer => ({ peer, state: 'foreground' })) }
  const alice = await world.online('alice', { parts: [presence] })
  const heard = []
  alice.chat.on('presence', ({ peers }) => heard.push(...peers))
  const asked = alice.chat.watchPresence(['bob'])
  await world.tick(50)
  await asked
  assert.deepEqual([alice.chat.presence('bob'), heard], ['foreground', ['bob']])

  world.server.push('alice', { type: 'presence', status: 200, peers: [{ peer: 'bob', state: 'away' }] })
  await world.tick(50)
  assert.deepEqual([alice.chat.presence('bob'), heard], ['away', ['bob', 'bob']])

  // It asks anew on the next socket.
  world.server.cut('alice')
  await world.tick(1000)
  assert.equal(alice.chat.state, 'online')
  assert.deepEqual([alice.chat.presence('bob'), world.heard('presence').map(frame => frame.peers)], ['foreground', [[], ['bob'], ['bob']]])
})

test('without a connection a question is refused as every call is', async () => {
  const world = new World()
  const alice = world.device('alice')
  alice.start({ parts: [presence], isStopped: true })
  await assert.rejects(alice.chat.watchPresence(['bob']), { word: 'offline' })
  assert.throws(() => world.device('bob').start({ isStopped: true }) && alice.chat.on('presents', () => {}), { word: 'bad_request' })
})

test('without the part its frames are nothing, and its event is none', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.push('alice', { type: 'presence', status: 200, peers: [{ peer: 'bob', state: 'away' }] })
  await world.tick(50)
  assert.equal(alice.chat.state, 'online')
  assert.throws(() => alice.chat.on('presence', () => {}), { word: 'bad_request' })
})

test('a part changes what is there: events on a message are shown with it, live and after a restart', async () => {
  const world = new World()
  const options = { parts: [reactions] }
  const alice = await world.online('alice', options)
  world.server.say('bob', 'alice', 'one', 'two')
  await world.tick(50)
  world.server.append('bob', 'alice', { type: 'reaction', of_seq: 1, message: '👍', client_msg_id: 'e1' })
  await world.tick(3000)
  const shown = () => alice.chat.messages('bob').map(each => [each.message, each.reactions])
  assert.deepEqual(shown(), [['one', ['👍']], ['two', undefined]])
  assert.ok(alice.of('messages').length >= 2)
  alice.start({ ...options, isStopped: true })
  assert.deepEqual(shown(), [['one', ['👍']], ['two', undefined]])
})

test('a part puts its own around what is done with a frame', async () => {
  const world = new World()
  const seen = []
  const watching = ({ frames }) => {
    const { settings } = frames
    frames.settings = (frame, row, isOwn) => {
      seen.push([row.peer, frame.muted])
      settings(frame, row, isOwn)
    }
    return {}
  }
  const alice = await world.online('alice', { parts: [watching] })
  world.server.say('bob', 'alice', 'one')
  await world.tick(50)
  world.server.set('alice', 'bob', { muted: true })
  await world.tick(50)
  assert.deepEqual([seen, alice.chat.conversations().map(each => each.muted)], [[['bob', true]], [true]])
})

test('what a part stores is there after a restart, under the name of the client; pages are told', async () => {
  const world = new World()
  const alice = await world.online('alice', { parts: [notes] })
  alice.events.length = 0
  alice.chat.setNote('bob', 'from work')
  await world.tick(50)
  assert.deepEqual(alice.of('messages').map(({ peer }) => peer), ['bob'])
  assert.throws(() => alice.chat.setNote('a.b', 'x'), { word: 'bad_request' })
  alice.start({ parts: [notes] })
  assert.equal(alice.chat.note('bob'), 'from work')
  alice.start({ parts: [notes], storageKey: 'other' })
  assert.equal(alice.chat.note('bob'), '')
})

test('a later part sees the calls of those before it', () => {
  const seen = []
  const { chat } = (() => {
    const alice = new World().device('alice')
    alice.start({ isStopped: true, parts: [notes, ({ client }) => (seen.push(typeof client.note, typeof client.late, client.state), { late() {} })] })
    return alice
  })()
  assert.deepEqual([seen, typeof chat.late], [['function', 'undefined', 'stopped'], 'function'])
})

test('what is no part is refused', () => {
  for (const part of [undefined, null, 'notices', {}]) {
    assert.throws(() => new World().device('alice').start({ parts: [part] }), { word: 'bad_request', message: 'invalid part' })
  }
})

test('notices are a part, and are what createNotices gives', async () => {
  const world = new World()
  world.server.templates = ['t1']
  const items = new Map()
  const wx = {
    getStorageSync: key => items.get(key) || '',
    setStorageSync: (key, value) => items.set(key, value),
    removeStorageSync: key => items.delete(key),
    getSetting: ({ success }) => success({}),
  }
  globalThis.wx = wx
  try {
    const alice = await world.online('alice', { parts: [notices] })
    await world.tick(50)
    assert.equal(alice.chat.notices.state().available, true)
    assert.deepEqual(Object.keys(alice.chat.notices), Object.keys(createNotices(alice.chat)))
  } finally {
    delete globalThis.wx
  }
})
