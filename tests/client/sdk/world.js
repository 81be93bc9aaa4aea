'use strict'

const assert = require('node:assert/strict')
const { createClient } = require('../../../miniprogram/sdk/hongyan.js')
const { FakeClock } = require('./clock.js')
const { Server } = require('./server.js')

/** A storage with an end, as WeChat's has. */
class FakeStorage {
  constructor() {
    this.items = new Map()
    this.room = Infinity
  }
  get(key) {
    return this.items.has(key) ? this.items.get(key) : ''
  }
  set(key, value) {
    let used = value.length
    for (const [other, text] of this.items) if (other !== key) used += text.length
    if (used > this.room) throw new Error('setStorageSync:fail exceed storage max size')
    this.items.set(key, value)
  }
  remove(key) {
    this.items.delete(key)
  }
}

/** A device of a user: its storage outlives the app. */
class Device {
  constructor(world, name) {
    Object.assign(this, { world, name, storage: new FakeStorage(), events: [], app: null })
  }
  /** Starts the app, or starts it again after it was killed: then nothing of the old one is heard. */
  start(options = {}) {
    this.kill()
    const { world, name, storage } = this
    const { server, clock } = world
    const app = { isDead: false, sockets: [] }
    const alive = run => (...args) => app.isDead || run(...args)
    const ofApp = {
      ...clock,
      setTimeout: (run, ms) => clock.setTimeout(alive(run), ms),
    }
    const adapter = {
      login: async () => `dev:${name}`,
      request: request => server.request(request).then(answer => (app.isDead ? new Promise(() => {}) : answer)),
      connect(socket, on) {
        const link = server.connect(socket, { open: alive(on.open), message: alive(on.message), close: alive(on.close) })
        app.sockets.push(link)
        return link
      },
      storage: {
        get: key => storage.get(key),
        set: (key, value) => app.isDead || storage.set(key, value),
        remove: key => app.isDead || storage.remove(key),
      },
      watch(on) {
        app.on = on
        return () => {
          app.on = null
        }
      },
    }
    this.app = app
    this.events = []
    this.chat = createClient({ url: 'http://chat.example', adapter, clock: ofApp, ...options })
    for (const event of ['state', 'messages', 'conversations', 'unread', 'users', 'incoming', 'error']) {
      this.chat.on(event, detail => this.events.push({ event, ...detail, error: detail.error, word: detail.word }))
    }
    if (options.isStopped) return this.chat
    this.chat.start()
    return this.chat
  }
  kill() {
    if (!this.app) return
    this.app.isDead = true
    for (const socket of this.app.sockets) socket.end(1006, '')
    for (const socket of this.app.sockets) socket.isGone = true
  }
  of(event) {
    return this.events.filter(each => each.event === event)
  }
  /** What stands on the screen, in short. */
  texts(peer) {
    return this.chat.messages(peer).map(m => (m.recalled ? '(recalled)' : m.message))
  }
  states(peer) {
    return this.chat.messages(peer).map(m => m.state)
  }
}

class World {
  constructor() {
    this.clock = new FakeClock()
    this.server = new Server(this.clock)
  }
  device(name) {
    return new Device(this, name)
  }
  /** A device that is online. */
  async online(name, options) {
    const device = this.device(name)
    device.start(options)
    await this.tick(50)
    assert.equal(device.chat.state, 'online')
    return device
  }
  tick(ms) {
    return this.clock.tick(ms)
  }
  /** Frames of a type that the server heard. */
  heard(type, openid) {
    return this.server.heard.filter(frame => frame.type === type && (!openid || frame.openid === openid))
  }
}

module.exports = { World }
