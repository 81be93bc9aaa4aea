'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { World } = require('./world.js')

const logins = world => world.server.calls.filter(call => call.path === '/v1/login').length
/** The login is answered so. */
const refuse = (world, status, error, more) => {
  world.server.http = call => (call.path === '/v1/login' ? { status, body: { status, error, message: error, ...more } } : undefined)
}

/** What the login answers, and what comes of it. */
const REFUSALS = [
  [401, 'bad_code', 'refused', 'wrong_appid', 2],
  [403, 'blocked_by_wechat', 'refused', 'blocked_by_wechat', 1],
  [403, 'banned', 'refused', 'banned', 1],
  [404, 'not_found', 'refused', 'not_found', 1],
  [429, 'rate_limited', 'waiting', 'rate_limited', 1],
  [503, 'wechat_unavailable', 'waiting', 'wechat_unavailable', 1],
  [500, 'internal', 'waiting', 'internal', 1],
]
for (const [status, error, state, word, times] of REFUSALS) {
  test(`a login that is refused with ${status} ${error} leads to ${state}`, async () => {
    const world = new World()
    refuse(world, status, error, status === 429 ? { retry_after_ms: 60000 } : {})
    const alice = world.device('alice')
    alice.start()
    await world.tick(5)
    assert.deepEqual([alice.chat.state, alice.chat.error.word, logins(world)], [state, word, times])
    assert.ok(alice.chat.error.message)
    const { retryAt } = alice.of('state').pop()
    if (status === 429) assert.ok(Math.abs(retryAt - world.clock.now() - 60000) < 10)
    world.server.reset()
    if (state === 'waiting') await world.tick(61_000)
    else {
      await world.tick(600_000)
      assert.equal(logins(world), times)
      alice.chat.start()
      await world.tick(50)
    }
    assert.equal(alice.chat.state, 'online')
  })
}

test('a code that was refused once is no wrong AppID', async () => {
  const world = new World()
  refuse(world, 401, 'bad_code')
  world.server.http = (answer => call => {
    world.server.http = () => undefined
    return answer(call)
  })(world.server.http)
  const alice = world.device('alice')
  alice.start()
  await world.tick(50)
  assert.deepEqual([alice.chat.state, logins(world)], ['online', 2])
})

test('what meets a developer: a domain that is not allowed, another server, no answer', async () => {
  const cases = [
    [{ errMsg: 'request:fail url not in domain list' }, 'refused', 'domain_not_allowed'],
    [{ errMsg: 'request:fail timeout' }, 'waiting', 'timeout'],
    [{ errMsg: 'request:fail interrupted' }, 'waiting', 'offline'],
    [new TypeError('Failed to fetch'), 'waiting', 'offline'],
    [undefined, 'waiting', 'timeout'],
  ]
  for (const [thrown, state, word] of cases) {
    const world = new World()
    world.server.request = () => (thrown ? Promise.reject(thrown) : new Promise(() => {}))
    const alice = world.device('alice')
    alice.start()
    await world.tick(thrown ? 5 : 10_000)
    assert.deepEqual([alice.chat.state, alice.chat.error.word], [state, word])
  }
  const world = new World()
  world.server.connect = (socket, on) => {
    world.clock.setTimeout(() => on.close(1006, 'connectSocket:fail url not in domain list'), 1)
    return { send() {}, close() {} }
  }
  const alice = world.device('alice')
  alice.start()
  await world.tick(5)
  assert.deepEqual([alice.chat.state, alice.chat.error.word], ['refused', 'domain_not_allowed'])
  const html = new World()
  html.server.http = () => ({ status: 502, body: '<html>' })
  const bob = html.device('bob')
  bob.start()
  await html.tick(5)
  assert.deepEqual([bob.chat.state, bob.chat.error.word, bob.chat.error.status], ['waiting', 'unavailable', 502])
})

test('a sign-in of one\'s own, which may use the login', async () => {
  const world = new World()
  const alice = world.device('alice')
  let asked = 0
  alice.start({
    signIn: api => {
      asked++
      return api.login('dev:carol')
    },
  })
  await world.tick(50)
  assert.deepEqual([alice.chat.state, alice.chat.openid, asked], ['online', 'carol', 1])
  for (const [signIn, state, word] of [
    [() => { throw new Error('of the backend') }, 'waiting', 'offline'],
    [async () => { throw new Error('of the backend') }, 'waiting', 'offline'],
    [() => Promise.reject(), 'waiting', 'offline'],
    [() => Promise.reject(null), 'waiting', 'offline'],
    [async () => ({}), 'waiting', 'unavailable'],
    [async () => '<html>', 'waiting', 'unavailable'],
    [async () => null, 'waiting', 'offline'],
    [async () => ({ openid: 'dave', token: 'made up', expires_in: 60 }), 'refused', 'unauthorized'],
    [api => api.login('nonsense'), 'refused', 'bad_code'],
  ]) {
    const dave = world.device('dave')
    dave.start({ signIn })
    await world.tick(20)
    assert.deepEqual([dave.chat.state, dave.chat.error.word], [state, word], String(signIn))
  }
})

test('a token is renewed before it ends, while the socket stays', async () => {
  const world = new World()
  world.server.tokenTtl = 1000
  const alice = await world.online('alice')
  await world.tick(890_000)
  assert.equal(logins(world), 1)
  await world.tick(41_000)
  assert.equal(logins(world), 2)
  assert.deepEqual(alice.of('state').map(({ state }) => state), ['connecting', 'online'])
})

test('while there are no logins, a token serves until its end', async () => {
  const world = new World()
  world.server.tokenTtl = 1000
  const alice = await world.online('alice')
  refuse(world, 503, 'wechat_unavailable')
  await world.tick(950_000)
  world.server.cut()
  await world.tick(1000)
  assert.equal(alice.chat.state, 'online')
  await world.tick(60_000)
  assert.equal(alice.chat.state, 'online', 'a token that has ended ends no session')
  world.server.cut()
  await world.tick(1000)
  assert.deepEqual([alice.chat.state, alice.chat.error.word], ['waiting', 'wechat_unavailable'])
  world.server.reset()
  await world.tick(31_000)
  assert.equal(alice.chat.state, 'online')
})

test('an HTTP call whose token is refused signs in once', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.tokens.clear()
  const both = Promise.all([alice.chat.setProfile({ nickname: 'A' }), alice.chat.setProfile({ nickname: 'A' })])
  await world.tick(50)
  const [user] = await both
  assert.deepEqual([user.nickname, logins(world)], ['A', 2])
  world.server.http = call => (call.path === '/v1/me' ? { status: 401, body: { status: 401, error: 'unauthorized', message: '' } } : undefined)
  const refused = assert.rejects(alice.chat.setProfile({ nickname: 'B' }), { word: 'unauthorized', status: 401 })
  await world.tick(50)
  await refused
  assert.equal(logins(world), 3)
})

test('signing out ends the token and leaves nothing', async () => {
  const world = new World()
  const alice = await world.online('alice')
  world.server.say('bob', 'alice', 'secret')
  alice.chat.send('carol', 'also')
  await world.tick(2000)
  alice.chat.user('bob')
  await world.tick(50)
  const out = alice.chat.signOut()
  assert.deepEqual([alice.chat.state, alice.chat.openid, alice.chat.conversations(), alice.chat.unread()], ['stopped', '', [], 0])
  await world.tick(50)
  await out
  assert.equal(world.server.tokens.size, 0)
  await world.tick(5000)
  const left = JSON.stringify([...alice.storage.items])
  for (const word of ['secret', 'also', 'bob', 'carol', 'token-']) assert.equal(left.includes(word), false, word)
  assert.equal(alice.of('unread').pop().total, 0)
  // Offline it is forgotten all the same, and the caller learns that the token lives on.
  alice.chat.start()
  await world.tick(50)
  world.server.isUp = false
  const offline = assert.rejects(alice.chat.signOut(), { word: 'offline' })
  await world.tick(50)
  await offline
  assert.equal(alice.chat.openid, '')
})

test('who has signed out is not signed in again by what a page still asks for, nor by a sign-in that was under way', async () => {
  const world = new World()
  const alice = await world.online('alice')
  alice.chat.on('conversations', () => alice.chat.user(`peer${world.clock.now()}`))
  const queued = alice.chat.setProfile({ nickname: 'A' }).catch(error => error.word)
  const out = alice.chat.signOut()
  alice.chat.user('bob')
  const asked = ['setProfile', 'loadOlder', 'removeConversation'].map(name => alice.chat[name]('bob').catch(error => error.word))
  await world.tick(60_000)
  await out
  assert.deepEqual([await queued, ...await Promise.all(asked)], Array(4).fill('offline'))
  assert.deepEqual([logins(world), alice.chat.openid, world.server.tokens.size, alice.storage.get('hongyan.token')], [1, '', 0, ''])
  // And where it was under way.
  alice.chat.start()
  await world.tick(0)
  const away = alice.chat.signOut().catch(error => error.word)
  await world.tick(60_000)
  assert.deepEqual([await away, alice.chat.state, alice.chat.openid, alice.storage.get('hongyan.token')], ['unauthorized', 'stopped', '', ''])
  // Nor does the next one get what the one before had asked for.
  const names = ['eve', 'alice']
  const device = world.device('eve')
  device.start({ signIn: api => api.login(`dev:${names.pop()}`) })
  await world.tick(0)
  device.chat.signOut().catch(() => {})
  device.chat.start()
  await world.tick(1000)
  assert.deepEqual([device.chat.state, device.chat.openid], ['online', 'eve'])
})

test('what is answered after the sign-out leaves nothing, and does nothing to the next user', async () => {
  const world = new World()
  const device = world.device('alice')
  let name = 'alice'
  device.start({ signIn: api => api.login(`dev:${name}`) })
  await world.tick(50)
  for (const to of ['alice', 'eve']) world.server.say('bob', to, 'hi')
  await world.tick(50)
  device.chat.user('bob')
  await world.tick(0)
  const removed = device.chat.removeConversation('bob').catch(error => error.word)
  const older = device.chat.loadOlder('bob').catch(error => error.word)
  await world.tick(0)
  const out = device.chat.signOut()
  name = 'eve'
  await world.tick(1000)
  assert.equal(JSON.stringify([...device.storage.items]).includes('bob'), false)
  assert.deepEqual(await Promise.all([removed, older, out]), ['offline', 'offline', undefined])
  device.chat.start()
  await world.tick(1000)
  assert.deepEqual([device.chat.openid, device.texts('bob')], ['eve', ['hi']])
})

test('what was asked for in one name is not done in another', async () => {
  const world = new World()
  const device = world.device('alice')
  let name = 'alice'
  device.start({ signIn: api => api.login(`dev:${name}`) })
  await world.tick(50)
  world.server.tokens.clear()
  name = 'eve'
  const set = assert.rejects(device.chat.setProfile({ nickname: 'Alice' }), { word: 'offline' })
  await world.tick(50)
  await set
  assert.deepEqual([device.chat.openid, world.server.profiles.size], ['eve', 0])
})

test('another user under the same name: what is here of the one before is forgotten, and nothing goes out in another name', async () => {
  const world = new World()
  const device = world.device('alice')
  let name = 'alice'
  const signIn = api => api.login(`dev:${name}`)
  device.start({ signIn })
  await world.tick(50)
  world.server.say('bob', 'alice', 'for alice')
  await world.tick(2000)
  world.server.isUp = false
  world.server.cut()
  await world.tick(10)
  device.chat.send('bob', 'from alice')
  world.server.isUp = true
  world.server.tokens.clear()
  name = 'eve'
  await world.tick(31_000)
  assert.deepEqual([device.chat.openid, device.chat.state, device.chat.conversations()], ['eve', 'online', []])
  await world.tick(31_000)
  assert.deepEqual(world.heard('text'), [])
  device.start({ signIn })
  assert.deepEqual([device.chat.openid, device.chat.conversations()], ['eve', []])
})

test('a message that waits to be sent again does not go out in the name of the next user', async () => {
  const world = new World()
  const device = world.device('alice')
  let name = 'alice'
  device.start({ signIn: api => api.login(`dev:${name}`) })
  await world.tick(50)
  world.server.answers = frame => (frame.type === 'text' ? { type: 'error', status: 503, error: 'unavailable', retry_after_ms: 5000 } : undefined)
  device.chat.send('bob', 'from alice')
  await world.tick(10)
  world.server.reset()
  world.server.tokens.clear()
  name = 'eve'
  device.chat.user('bob')
  await world.tick(20_000)
  assert.deepEqual([device.chat.openid, device.chat.state], ['eve', 'online'])
  assert.deepEqual(world.heard('text').map(frame => frame.openid), ['alice'])
})

test('a signIn whose token has ended: the server says so, and the user is to sign in anew', async () => {
  for (const expires_in of [0, -60]) {
    const world = new World()
    const alice = world.device('alice')
    alice.start({ signIn: async () => ({ openid: 'alice', token: 'old', expires_in }) })
    await world.tick(5000)
    assert.deepEqual([alice.chat.state, alice.chat.error.word], ['refused', 'unauthorized'])
  }
  // By a clock that runs ahead of the server's, one that holds has ended.
  const world = new World()
  const bob = await world.online('bob', { signIn: async () => ({ ...world.server.token('bob'), expires_in: -1 }) })
  bob.chat.send('alice', 'hi')
  await world.tick(50)
  assert.deepEqual(bob.states('alice'), ['sent'])
})
