'use strict'

/** As much of WeChat as an app needs that only talks: a `wx` over Node's network, and what a built app finds around it. */

const fs = require('node:fs')
const path = require('node:path')
const vm = require('node:vm')
const WebSocket = require('../client/node_modules/ws')

function createWx(name, hongyan) {
  const items = new Map()
  const known = {
    hongyan,
    login: ({ success }) => setImmediate(success, { code: `dev:${name}` }),
    request({ method, url, header, data, success, fail }) {
      const answered = fetch(url, { method, headers: { ...header, 'content-type': 'application/json' }, body: data && JSON.stringify(data) })
      answered.then(async answer => success({ statusCode: answer.status, data: await answer.json().catch(() => '') }), e => fail({ errMsg: `request:fail ${e.message}` }))
    },
    connectSocket({ url, header, protocols, success }) {
      // Taro's promise waits for it. It comes before the handshake is over.
      if (success) setImmediate(success, { errMsg: 'connectSocket:ok' })
      const socket = new WebSocket(url, protocols, { headers: header })
      socket.on('error', () => {})
      return {
        onOpen: run => socket.on('open', () => run({})),
        onMessage: run => socket.on('message', data => run({ data: String(data) })),
        onError: run => socket.on('error', e => run({ errMsg: e.message })),
        onClose: run => socket.on('close', (code, reason) => run({ code, reason: String(reason) })),
        send: ({ data }) => socket.send(data),
        close: ({ code, reason }) => socket.close(code, reason),
      }
    },
    getStorageSync: key => (items.has(key) ? items.get(key) : ''),
    setStorageSync: (key, value) => void items.set(key, value),
    removeStorageSync: key => void items.delete(key),
    getSystemInfoSync: () => ({ platform: 'ios', system: 'iOS 17', SDKVersion: '3.5.5', language: 'zh_CN', windowWidth: 375, windowHeight: 700, pixelRatio: 2, safeArea: { top: 0, bottom: 0 } }),
    getWindowInfo: () => known.getSystemInfoSync(),
    getAppBaseInfo: () => known.getSystemInfoSync(),
    getDeviceInfo: () => known.getSystemInfoSync(),
    getLaunchOptionsSync: () => ({ path: 'pages/index/index', query: {}, scene: 1001 }),
    getEnterOptionsSync: () => ({ path: 'pages/index/index', query: {}, scene: 1001 }),
    canIUse: () => true,
  }
  // Of the rest nothing comes. webpack keeps its own things there.
  const isCall = key => typeof key === 'string' && key !== 'webpackJsonp'
  return new Proxy(known, { get: (target, key) => (key in target || !isCall(key) ? target[key] : () => {}) })
}

/** Runs a built app's `app.js` as WeChat does: CommonJS of its own files, without `window`, without Node. Gives what it told `wx.hongyan`. */
function runApp(folder, name) {
  let told
  const wx = createWx(name, parts => (told = parts))
  // What no app of a mini-program has: Node's own.
  const context = vm.createContext({
    wx, console, clearTimeout, clearInterval, setTimeout: (...args) => setTimeout(...args).unref(), setInterval: (...args) => setInterval(...args).unref(), App() {}, Page() {}, Component() {}, Behavior: () => ({}), getApp: () => ({}), getCurrentPages: () => [],
  })
  context.global = context
  const loaded = new Map()
  const load = file => {
    if (!loaded.has(file)) {
      const module = { exports: {} }
      loaded.set(file, module)
      const run = vm.runInContext(`(function (module, exports, require) {${fs.readFileSync(file, 'utf8')}\n})`, context, { filename: file })
      run.call(module.exports, module, module.exports, request => load(resolve(path.dirname(file), request, folder)))
    }
    return loaded.get(file).exports
  }
  load(path.join(folder, 'app.js'))
  return told
}

/** WeChat's rule: a path of the project, or a package of `miniprogram_npm`. */
function resolve(from, request, root) {
  const base = /^\.{0,2}\//.test(request) ? path.resolve(from, request) : path.join(root, 'miniprogram_npm', request)
  const found = [base, `${base}.js`, path.join(base, 'index.js')].find(file => fs.existsSync(file) && fs.statSync(file).isFile())
  if (!found) throw new Error(`module '${request}' is not defined`)
  return found
}

module.exports = { createWx, runApp }
