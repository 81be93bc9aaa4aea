'use strict'
// The real server, the mini-program built for Chromium, and people with phones.
const assert = require('node:assert/strict')
const { execFileSync, spawn } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const readline = require('node:readline')
const { after, before } = require('node:test')
const { chromium } = require('playwright-core')
const { build } = require('../host/build')
const { serve } = require('../host/serve')

const ROOT = path.join(__dirname, '../../..')
const BINARY = process.env.HONGYAN_BIN || path.join(ROOT, 'target/debug/hongyan')
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
const LIGHT = { colorScheme: 'light', language: 'zh_CN' }
const DARK = { colorScheme: 'dark', language: 'en' }

/** What is to be done when the test ends, the last first: a phone is put away before its server stops. */
const endings = new WeakMap()
function atEnd(t, run) {
  if (!endings.has(t)) {
    const runs = []
    endings.set(t, runs)
    t.after(async () => {
      const failures = []
      for (const each of runs.reverse()) await Promise.resolve().then(each).catch((failure) => failures.push(failure))
      if (failures.length) throw failures[0]
    })
  }
  endings.get(t).push(run)
}

/** `hongyan dev` with a folder of its own. It can be killed, and started again where it was. */
class Server {
  static async start(t, ...options) {
    const server = new Server()
    server.options = options
    server.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hongyan-pages-'))
    atEnd(t, async () => {
      await server.kill()
      fs.rmSync(server.folder, { recursive: true })
    })
    await server.run('127.0.0.1:0')
    return server
  }

  async run(listen) {
    const args = ['dev', ...this.options, '--listen', listen, '--ops-listen=']
    this.process = spawn(BINARY, args, { cwd: this.folder, env: environment(), stdio: ['ignore', 'pipe', 'inherit'] })
    this.ended = new Promise((resolve) => { this.process.once('exit', resolve) })
    let ready = false
    for await (const line of readline.createInterface(this.process.stdout)) {
      this.address = /^hongyan: chat at (\S+)$/.exec(line)?.[1] || this.address
      ready = line === 'hongyan: ready'
      if (ready) break
    }
    assert.ok(ready, `${BINARY} did not start`)
    this.process.stdout.resume()
  }

  get url() { return `http://${this.address}` }

  /** SIGKILL: no farewell to anybody. */
  async kill() {
    this.process.kill('SIGKILL')
    await this.ended
  }

  restart() { return this.run(this.address) }

  /** Another command of the binary, with this server's settings. */
  command(...args) {
    return execFileSync(BINARY, [...args, '--dev'], { cwd: this.folder, env: environment(), encoding: 'utf8' }).trim()
  }

  async request(method, route, { as, body } = {}) {
    const headers = as ? { authorization: `Bearer ${await this.token(as)}` } : {}
    const response = await fetch(this.url + route, { method, headers, body: body && JSON.stringify(body) })
    assert.ok(response.ok, `${method} ${route}: ${response.status} ${await response.clone().text()}`)
    return response.status === 204 ? undefined : response.json()
  }

  async token(openid) {
    this.tokens ||= new Map()
    if (!this.tokens.has(openid)) {
      this.tokens.set(openid, (await this.request('POST', '/v1/login', { body: { code: `dev:${openid}` } })).token)
    }
    return this.tokens.get(openid)
  }
}

/** Nothing of who runs the tests: settings of hers would be the server's. */
function environment() {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('HONGYAN_'))
  return { ...Object.fromEntries(own), HONGYAN_LOG__FILTER: 'error' }
}

/** The mini-program, or another one, in one Chromium, for the tests of a file. */
function studio(source = path.join(ROOT, 'miniprogram')) {
  const shared = {}
  before(async () => {
    shared.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hongyan-host-'))
    await build(source, shared.folder, { replace: { 'config.js': `module.exports = { url: globalThis.hostSettings.url, devUser: '' }` } })
    shared.site = await serve(shared.folder)
    shared.browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: FLAGS })
  })
  after(async () => {
    await shared.browser?.close()
    shared.site?.close()
    if (shared.folder) fs.rmSync(shared.folder, { recursive: true })
  })
  return shared
}

/**
 * Somebody's phone, with the mini-program open. What its console says against it, such as a `wx` call that does not exist, fails the test, but
 * for what `phone.expected` matches: a browser says so each time that a server is away.
 */
async function openPhone(t, shared, server, user, options = {}) {
  const { colorScheme, language, path: start = '', settings = {}, width = 375, height = 667 } = { ...LIGHT, ...options }
  const context = await shared.browser.newContext({
    viewport: { width, height }, deviceScaleFactor: 2, hasTouch: true, isMobile: true, colorScheme, locale: language.replace('_', '-'), timezoneId: 'Asia/Shanghai',
  })
  const page = await context.newPage()
  page.setDefaultTimeout(15_000)
  const complaints = []
  page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) complaints.push(`${message.type()}: ${message.text()} ${message.location().url}`) })
  page.on('pageerror', (error) => complaints.push(error.stack || JSON.stringify(error)))
  const phone = { user, context, page, expected: undefined }
  atEnd(t, async () => {
    await context.close()
    assert.deepEqual(complaints.filter((text) => !phone.expected?.test(text)), [], `${user}'s console`)
  })
  await page.addInitScript((given) => { globalThis.hostSettings = given }, { user, language, url: server?.url, ...settings })
  await page.goto(`${shared.site.url}/#${start}`)
  return phone
}

/** A browser's own word for a server that is away. */
const AWAY = /ERR_CONNECTION_REFUSED|WebSocket connection to .* failed|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET/

module.exports = { AWAY, DARK, LIGHT, ROOT, Server, atEnd, openPhone, studio }
