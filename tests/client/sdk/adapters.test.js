'use strict'

/** The two adapters, each on a small double of its platform that does what WeChat and browsers do to sockets. */

const assert = require('node:assert/strict')
const { readFileSync } = require('node:fs')
const { test, mock } = require('node:test')
const vm = require('node:vm')
const path = require('node:path')
const { createAdapter, createBrowserAdapter, createClient } = require('../../../miniprogram/sdk/hongyan.js')
const { World } = require('./world.js')

const file = path.join(__dirname, '../../../miniprogram/sdk/hongyan.js')

/** `wx` on the scripted server: no readyState, at most five sockets, suspended after five seconds in the background, storage with two bounds. */
function fakeWx({ server, clock }, name) {
  const handlers = {}
  const items = new Map()
  const sockets = new Set()
  const on = event => run => (handlers[event] = [...(handlers[event] || []), run])
  const off = event => run => (handlers[event] = (handlers[event] || []).filter(each => each !== run))
  const wx = {
    login: ({ success }) => success({ code: `dev:${name}`, errMsg: 'login:ok' }),
    request: ({ method, url, header, data, success, fail }) =>
      void server.request({ method, url, headers: header, body: data }).then(({ status, body }) => success({ statusCode: status, data: body, errMsg: 'request:ok' }), fail),
    connectSocket({ url, header, protocols, fail }) {
      assert.deepEqual(protocols, ['hongyan.v1'])
      if (sockets.size >= 5) return void setImmediate(fail, { errMsg: 'connectSocket:fail exceed max task count' })
      const told = {}
      const tell = (event, detail) => told[event] && told[event](detail)
      const task = {
        isOpen: false,
        onOpen: run => (told.open = run),
        onMessage: run => (told.message = run),
        onError: run => (told.error = run),
        onClose: run => (told.close = run),
        send({ data, fail }) {
          if (task.isOpen) link.send(data)
          else fail({ errMsg: 'sendSocketMessage:fail' })
        },
        close({ code, fail }) {
          if (!task.isOpen) return fail({ errMsg: 'closeSocket:fail' })
          assert.ok(code === 1000 || code >= 3000)
          sockets.delete(task)
          link.close()
        },
        /** WeChat drops it. */
        drop() {
          sockets.delete(task)
          link.close()
          task.isOpen = false
        },
      }
      sockets.add(task)
      const link = server.connect({ url, token: header.Authorization.replace('Bearer ', '') }, {
        open() {
          task.isOpen = true
          tell('open', { header: {} })
        },
        message: text => tell('message', { data: text }),
        close(code, reason) {
          sockets.delete(task)
          if (!task.isOpen) return tell('error', { errMsg: 'connectSocket:fail' })
          // Where a socket ends without a close frame there is an error as well.
          if (code === 1006) tell('error', { errMsg: 'socket error' })
          tell('close', { code, reason })
        },
      })
      return task
    },
    getStorageSync: key => (items.has(key) ? items.get(key) : ''),
    setStorageSync(key, value) {
      if (Buffer.byteLength(value) > 1024 * 1024) throw new Error('setStorageSync:fail data exceed max size')
      items.set(key, value)
    },
    removeStorageSync: key => void items.delete(key),
    tell: (event, detail) => (handlers[event] || []).forEach(run => run(detail)),
    /** Five seconds in the background, and back: what is under way is lost, and not everything is told. */
    async away(ms) {
      wx.tell('AppHide')
      mock.timers.tick(ms)
      if (ms >= 5000) for (const task of [...sockets]) task.drop()
      await clock.tick(ms)
      wx.tell('AppShow')
    },
    sockets, handlers, items,
  }
  for (const event of ['AppHide', 'AppShow', 'NetworkStatusChange']) {
    wx[`on${event}`] = on(event)
    wx[`off${event}`] = off(event)
  }
  return wx
}

async function wxClient(world, name) {
  const wx = fakeWx(world, name)
  const chat = createClient({ url: 'https://chat.example/', adapter: createAdapter(wx), clock: world.clock })
  chat.start()
  await world.tick(50)
  return { wx, chat }
}

test('WeChat: signs in, connects, sends and receives, and keeps what it should', async () => {
  const world = new World()
  const { wx, chat } = await wxClient(world, 'alice')
  assert.deepEqual([chat.state, chat.openid, wx.sockets.size], ['online', 'alice', 1])
  chat.send('bob', 'hi')
  world.server.say('bob', 'alice', 'ho')
  await world.tick(2000)
  assert.deepEqual(chat.messages('bob').map(m => m.message).sort(), ['hi', 'ho'])
  assert.ok([...wx.items.keys()].every(key => key.startsWith('hongyan.')))
  chat.stop()
  await world.tick(10)
  assert.deepEqual([wx.sockets.size, Object.values(wx.handlers).flat()], [0, []])
})

test('WeChat: five seconds in the background cost the socket; the app connects as soon as it is shown, without waiting', async t => {
  const world = new World()
  const { wx, chat } = await wxClient(world, 'alice')
  mock.timers.enable({ apis: ['Date'], now: Date.now() })
  t.after(() => mock.timers.reset())
  await wx.away(1000)
  await world.tick(10)
  assert.equal(world.heard('sync').length, 2, 'the same socket')
  const away = wx.away(6000)
  await away
  world.server.say('bob', 'alice', 'missed')
  await world.tick(20)
  assert.deepEqual([chat.state, chat.messages('bob').map(m => m.message), wx.sockets.size], ['online', ['missed'], 1])
})

test('WeChat: a failed handshake shows only an error; sockets that were given up do not fill the five places', async () => {
  const world = new World()
  const { wx, chat } = await wxClient(world, 'alice')
  world.server.isUp = false
  world.server.cut()
  await world.tick(120_000)
  assert.equal(chat.state, 'waiting')
  world.server.isUp = true
  // Each of these opens only after it was given up.
  const { connect } = world.server
  world.server.connect = (socket, on) => {
    const late = { ...on, open: () => world.clock.setTimeout(on.open, 15_000) }
    return connect.call(world.server, socket, late)
  }
  world.server.faults = () => []
  const { add } = world.server.sessions
  world.server.sessions.add = () => {}
  await world.tick(600_000)
  assert.notEqual(chat.state, 'online')
  assert.ok(wx.sockets.size < 5, `${wx.sockets.size}`)
  world.server.connect = connect
  world.server.sessions.add = add
  world.server.reset()
  await world.tick(60_000)
  assert.deepEqual([chat.state, wx.sockets.size], ['online', 1])
})

test('WeChat: an error on an open socket is not the last word, the close has the code', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.after(() => mock.timers.reset())
  const told = {}
  const task = { onOpen: f => (told.open = f), onMessage() {}, onError: f => (told.error = f), onClose: f => (told.close = f) }
  const adapter = createAdapter({ connectSocket: () => task })
  const closes = []
  const connect = () => adapter.connect({ url: '', token: '' }, { open() {}, message() {}, close: (...args) => closes.push(args) })
  connect()
  told.open()
  told.error({ errMsg: 'x' })
  told.close({ code: 4503, reason: 'replaced' })
  mock.timers.tick(1000)
  assert.deepEqual(closes[0], [4503, 'replaced'])
  closes.length = 0
  connect()
  told.open()
  told.error({ errMsg: 'gone' })
  mock.timers.tick(999)
  assert.deepEqual(closes, [])
  mock.timers.tick(1)
  assert.deepEqual(closes, [[1006, 'gone']])
})

test('WeChat: what it refuses to ask for', async () => {
  const world = new World()
  const wx = fakeWx(world, 'alice')
  const chat = createClient({ url: 'https://chat.example', adapter: createAdapter(wx), clock: world.clock })
  const { connectSocket, request } = wx
  wx.request = ({ fail }) => fail({ errMsg: 'request:fail url not in domain list', errno: 600002 })
  chat.start()
  await world.tick(50)
  assert.deepEqual([chat.state, chat.error.word], ['refused', 'domain_not_allowed'])
  wx.request = request
  wx.connectSocket = ({ fail }) => {
    setImmediate(fail, { errMsg: 'connectSocket:fail url not in domain list' })
    return { onOpen() {}, onMessage() {}, onError() {}, onClose() {}, send() {}, close() {} }
  }
  chat.start()
  await world.tick(50)
  assert.deepEqual([chat.state, chat.error.word], ['refused', 'domain_not_allowed'])
  // With five sockets open there is no task at all.
  wx.connectSocket = () => undefined
  chat.start()
  await world.tick(50)
  assert.deepEqual([chat.state, chat.error.word], ['waiting', 'offline'])
  wx.connectSocket = connectSocket
  wx.tell('NetworkStatusChange', { isConnected: true, networkType: 'wifi' })
  await world.tick(50)
  assert.equal(chat.state, 'online')
  wx.tell('NetworkStatusChange', { isConnected: false, networkType: 'none' })
  await world.tick(1)
  assert.equal(chat.state, 'waiting')
})

/** What the browser adapter asks of a page, on the scripted server. */
function fakePage({ server }) {
  const handlers = new Map()
  const items = {}
  const page = {
    addEventListener: (name, run) => handlers.set(name, run),
    removeEventListener: (name, run) => handlers.get(name) === run && handlers.delete(name),
    document: { hidden: false },
    localStorage: items,
    fetch: async (url, { method, headers, body }) => {
      const answer = await server.request({ method, url, headers, body: body && JSON.parse(body) })
      return {
        status: answer.status,
        async json() {
          if (typeof answer.body !== 'object') throw new SyntaxError('Unexpected end of JSON input')
          return answer.body
        },
      }
    },
    WebSocket: class {
      constructor(url, [protocol, bearer]) {
        assert.equal(protocol, 'hongyan.v1')
        this.link = server.connect({ url, token: bearer.replace('bearer.', '') }, {
          open: () => this.onopen({}),
          message: data => this.onmessage({ data }),
          close: (code, reason) => this.onclose({ code, reason }),
        })
      }
      send(text) {
        this.link.send(text)
      }
      close(code) {
        assert.equal(code, 1000)
        this.link.close()
      }
    },
    console, setTimeout, clearTimeout, handlers, items,
  }
  page.window = page.globalThis = page
  return page
}

test('a plain <script> sets one name, and the browser adapter does all that is asked of it', async () => {
  const world = new World()
  const page = fakePage(world)
  const context = vm.createContext(page)
  const before = new Set(Object.keys(page))
  vm.runInContext(readFileSync(file, 'utf8'), context)
  assert.deepEqual(Object.keys(page).filter(key => !before.has(key)), ['hongyan'])
  const chat = page.hongyan.createClient({ url: 'http://chat.example', signIn: api => api.login('dev:alice'), clock: world.clock })
  chat.start()
  await world.tick(50)
  assert.equal(chat.state, 'online')
  world.server.say('bob', 'alice', 'hi')
  await world.tick(10)
  assert.equal(chat.messages('bob')[0].message, 'hi')
  page.document.hidden = true
  page.handlers.get('visibilitychange')()
  await world.tick(10)
  assert.equal(world.heard('background').length, 1)
  assert.ok(page.items['hongyan.chats'].includes('hi'))
  page.document.hidden = false
  page.handlers.get('visibilitychange')()
  await world.tick(10)
  page.handlers.get('offline')()
  await world.tick(1)
  assert.equal(chat.state, 'waiting')
  page.handlers.get('online')()
  await world.tick(50)
  assert.equal(chat.state, 'online')
  const out = chat.signOut()
  await world.tick(50)
  await out
  assert.equal(page.handlers.size, 0)
  assert.deepEqual(Object.keys(page.items), ['hongyan.device'])
})

test('a browser tells of another network, and not of another speed', () => {
  const told = []
  const listeners = new Map()
  const connection = {
    type: 'wifi',
    addEventListener: (name, run) => listeners.set(name, run),
    removeEventListener: (name, run) => listeners.get(name) === run && listeners.delete(name),
  }
  const page = { addEventListener() {}, removeEventListener() {}, document: { hidden: false }, navigator: { connection }, module: { exports: {} } }
  page.window = page
  vm.runInContext(readFileSync(file, 'utf8'), vm.createContext(page))
  const stop = page.module.exports.createBrowserAdapter().watch({ show() {}, hide() {}, online: () => told.push(connection.type), offline() {} })
  for (const type of ['wifi', 'cellular', 'cellular', 'wifi']) {
    connection.type = type
    listeners.get('change')()
  }
  assert.deepEqual(told, ['cellular', 'wifi'])
  stop()
  assert.equal(listeners.size, 0)
})

/** As `Taro` and `uni` are: every call gives a promise as well, and `connectSocket` the promise of a task. What it rejects with nobody catches there. */
function promising(wx) {
  const ways = { ...wx }
  for (const name of ['login', 'request']) {
    ways[name] = options => new Promise((resolve, reject) => wx[name]({
      ...options,
      success(answer) {
        options.success(answer)
        resolve(answer)
      },
      fail(e) {
        options.fail(e)
        reject(e)
      },
    }))
  }
  ways.connectSocket = async options => wx.connectSocket(options)
  return ways
}

test('Taro and uni-app: their promises are taken, and what those reject with is told once', async () => {
  const world = new World()
  const wx = fakeWx(world, 'alice')
  const taro = promising(wx)
  // Not every platform tells of everything.
  delete taro.onNetworkStatusChange
  delete taro.offNetworkStatusChange
  const chat = createClient({ url: 'https://chat.example', adapter: createAdapter(taro), clock: world.clock })
  const unhandled = []
  const hear = e => unhandled.push(e)
  process.on('unhandledRejection', hear)
  chat.start()
  await world.tick(50)
  world.server.say('bob', 'alice', 'hi')
  chat.send('bob', 'ho')
  await world.tick(50)
  assert.deepEqual([chat.state, chat.messages('bob').map(m => m.message).sort(), wx.sockets.size], ['online', ['hi', 'ho'], 1])
  world.server.isUp = false
  chat.loadOlder('bob').catch(() => {})
  world.server.cut()
  await world.tick(5000)
  assert.notEqual(chat.state, 'online')
  // No task, and a promise of none.
  for (const none of [async () => undefined, async () => { throw new Error('connectSocket:fail') }]) {
    taro.connectSocket = none
    await world.tick(31_000)
    assert.notEqual(chat.state, 'online')
  }
  taro.connectSocket = async options => wx.connectSocket(options)
  world.server.isUp = true
  await world.tick(31_000)
  assert.deepEqual([chat.state, wx.sockets.size], ['online', 1])
  chat.stop()
  await world.tick(10)
  process.off('unhandledRejection', hear)
  assert.deepEqual([wx.sockets.size, unhandled], [0, []])
})

test('a browser without a signIn is told what is missing', async () => {
  const world = new World()
  const { login, ...rest } = createBrowserAdapter()
  const chat = createClient({
    url: 'http://chat.example', clock: world.clock,
    adapter: { ...rest, login, storage: { get() {}, set() {}, remove() {} }, watch: () => () => {} },
  })
  chat.start()
  await world.tick(50)
  assert.deepEqual([chat.state, chat.error.word], ['refused', 'bad_request'])
  assert.match(chat.error.message, /signIn/)
})
