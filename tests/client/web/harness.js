'use strict'
/** The real binary, Chromium, and people in it. */

const assert = require('node:assert/strict')
const { execFileSync, spawn } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const readline = require('node:readline')
const { after, before } = require('node:test')
const { chromium } = require('playwright-core')

const ROOT = path.join(__dirname, '../../..')
const BINARY = process.env.HONGYAN_BIN ?? path.join(ROOT, 'target/debug/hongyan')
const SCREENSHOTS = path.join(ROOT, 'target/screenshots/web')
const AXE = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8')
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']

const LIGHT = { colorScheme: 'light', locale: 'zh-CN' }
const DARK = { colorScheme: 'dark', locale: 'en-US' }
const WIDE = { width: 1100, height: 760 }
const PHONE = { viewport: { width: 360, height: 640 }, hasTouch: true, isMobile: true }

/** What is to be done when the test ends, the last first: a page is closed before its server. */
const ends = new WeakMap()
function atEnd(t, run) {
  if (!ends.has(t)) {
    const all = []
    ends.set(t, all)
    t.after(async () => {
      const failures = []
      for (const run of all.reverse()) await Promise.resolve().then(run).catch(failure => failures.push(failure))
      if (failures.length) throw failures[0]
    })
  }
  ends.get(t).push(run)
}

/** A server with a folder of its own, as long as the test `t` runs. It can be killed, and started again where it was. */
class Server {
  static async start(t, ...options) {
    const server = new Server()
    server.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hongyan-web-'))
    server.options = options.includes('serve') ? options : ['dev', ...options]
    atEnd(t, async () => {
      await server.kill()
      fs.rmSync(server.folder, { recursive: true })
    })
    await server.run('127.0.0.1:0')
    return server
  }

  async run(listen) {
    this.process = spawn(BINARY, [...this.options, '--listen', listen, '--ops-listen='], { cwd: this.folder, env: environment(), stdio: ['ignore', 'pipe', 'inherit'] })
    this.ended = new Promise(resolve => this.process.once('exit', resolve))
    for await (const line of readline.createInterface(this.process.stdout)) {
      this.address = /^hongyan: chat at (\S+)$/.exec(line)?.[1] ?? this.address
      this.doubleAddress = /^hongyan: wechat double at (\S+)$/.exec(line)?.[1] ?? this.doubleAddress
      if (line === 'hongyan: ready') break
    }
    assert.ok(this.address, `${BINARY} did not start`)
    this.process.stdout.resume()
  }

  get url() { return `http://${this.address}` }
  /** Its double of WeChat. */
  get double() { return `http://${this.doubleAddress}` }

  /** SIGKILL: no farewell to anybody. */
  async kill() {
    this.process.kill('SIGKILL')
    await this.ended
  }

  restart() {
    return this.run(this.address)
  }

  /** Runs another command of the binary, with the server's settings. */
  command(...args) {
    return execFileSync(BINARY, args, { cwd: this.folder, env: environment(), encoding: 'utf8' }).trim()
  }
}

/** Nothing of who runs the tests: settings of hers would be the server's. */
function environment() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('HONGYAN_')).concat([['HONGYAN_LOG__FILTER', 'error']]))
}

/** One browser for the tests of a file. */
function browser() {
  const shared = {}
  before(async () => { shared.browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: FLAGS }) })
  after(() => shared.browser?.close())
  return shared
}

/**
 * Somebody's own browser, at the client's page. Whatever its console says against it, or its Content-Security-Policy refuses, fails the test, but for
 * what `person.expected` matches: a browser says so each time that a server is away.
 */
async function person(t, { browser }, server, options) {
  const context = await browser.newContext({ viewport: WIDE, ...options })
  const page = await context.newPage()
  const complaints = []
  page.on('console', message => { if (['error', 'warning'].includes(message.type())) complaints.push(message.text()) })
  page.on('pageerror', error => complaints.push(error.stack))
  const somebody = { context, page, expected: undefined }
  atEnd(t, async () => {
    await context.close()
    assert.deepEqual(complaints.filter(words => !somebody.expected?.test(words)), [])
  })
  page.setDefaultTimeout(15_000)
  await page.goto(server.url)
  return somebody
}

/** Signs in and gives the page of it. */
async function signedIn(t, shared, server, name, options) {
  const somebody = await person(t, shared, server, options)
  await somebody.page.fill('#credential', name)
  await somebody.page.keyboard.press('Enter')
  await online(somebody.page)
  return somebody
}

const online = page => page.locator('body[data-state=online]').waitFor()

async function openChat(page, peer) {
  await page.click('#new-chat')
  await page.fill('#new-chat-openid', peer)
  await page.keyboard.press('Enter')
  await page.locator('#app[data-view=room]').waitFor()
}

async function say(page, words) {
  await page.fill('#composer textarea', words)
  await page.press('#composer textarea', 'Enter')
}

/** A finger that rests on something. */
async function longPress({ context, page }, locator) {
  const { x, y, width, height } = await locator.boundingBox()
  const touch = await context.newCDPSession(page)
  await touch.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: [{ x: x + width / 2, y: y + height / 2 }] })
  await page.waitForTimeout(700)
  await touch.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] })
}

/** The bubbles with these words. */
const bubble = (page, words) => page.locator('.bubble', { hasText: words })

/** All that is said on screen, in order. */
const said = page => page.locator('.bubble').evaluateAll(bubbles => bubbles.map(bubble => [...bubble.childNodes].slice(1).map(part => part.textContent).join('')))

/** Looks at a state: a picture for people, and axe-core's judgement, in which nothing may be serious. */
async function look(page, name) {
  await page.evaluate(() => Promise.allSettled(document.getAnimations().filter(({ effect }) => effect.getTiming().iterations !== Infinity).map(({ finished }) => finished)))
  fs.mkdirSync(SCREENSHOTS, { recursive: true })
  await page.screenshot({ path: path.join(SCREENSHOTS, `${name}.png`) })
  await page.evaluate(AXE)
  const { violations } = await page.evaluate(() => globalThis.axe.run({ resultTypes: ['violations'] }))
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
  assert.deepEqual(serious.map(({ id, nodes }) => `${id}: ${nodes.map(node => `${node.target} ${node.failureSummary}`).join('; ')}`), [], name)
}

/** Nothing is wider than the window. */
async function fits(page) {
  const wide = await page.evaluate(() => [...document.querySelectorAll('body *')].filter(element => element.checkVisibility() && !element.closest('.unseen') && element.getBoundingClientRect().right > innerWidth + 0.5).map(element => element.outerHTML.slice(0, 120)))
  assert.deepEqual(wide, [])
}

/**
 * A client of the seed's protocol: no subprotocol, the code in the URL, a heart now and then. It runs in an empty page, because Node 20 has no
 * WebSocket.
 */
async function plainClient(t, { browser }, server, openid, peer) {
  const context = await browser.newContext()
  atEnd(t, () => context.close())
  const page = await context.newPage()
  await page.evaluate(url => new Promise((resolve, reject) => {
    globalThis.frames_ = []
    globalThis.socket = new WebSocket(url)
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data)
      frames_.push(frame)
      if (frame.type === 'init') resolve()
    }
    socket.onerror = reject
    setInterval(() => socket.send('{"type":"heart"}'), 1000)
  }), `ws://${server.address}/${openid}?to_user_openid=${peer}&code=dev:${openid}`)
  return {
    say: message => page.evaluate(([message, openid, peer]) => {
      const now = new Date()
      socket.send(JSON.stringify({ type: 'text', message, from_user_openid: openid, to_user_openid: peer, date: now.toLocaleString(), created_at: now.getTime() }))
    }, [message, openid, peer]),
    hears: async message => {
      await page.waitForFunction(message => frames_.some(frame => frame.message === message), message)
      return page.evaluate(message => frames_.filter(frame => frame.message === message), message)
    },
    frames: () => page.evaluate(() => frames_),
  }
}

/** Another client of `hongyan.v1`, to write a great many messages, to one or to each of many: gives when all of them are acked. */
async function write(t, { browser }, server, from, to, messages) {
  const login = await fetch(`${server.url}/v1/login`, { method: 'POST', body: JSON.stringify({ code: `dev:${from}` }) })
  const { token } = await login.json()
  const context = await browser.newContext()
  const page = await context.newPage()
  await page.evaluate(({ url, token, to, messages }) => new Promise((resolve, reject) => {
    const socket = new WebSocket(url, ['hongyan.v1', `bearer.${token}`])
    let acked = 0
    socket.onmessage = ({ data }) => {
      const { type } = JSON.parse(data)
      if (type === 'init') messages.forEach((message, i) => socket.send(JSON.stringify({ type: 'text', to_user_openid: Array.isArray(to) ? to[i] : to, message, client_msg_id: `${i}-${Math.random()}` })))
      if (type === 'error') reject(new Error(data))
      if (type === 'ack' && ++acked === messages.length) resolve()
    }
    socket.onclose = reject
  }), { url: `ws://${server.address}/${from}?device=writer`, token, to, messages })
  await context.close()
}

module.exports = { DARK, LIGHT, PHONE, Server, WIDE, browser, bubble, fits, longPress, look, online, openChat, person, plainClient, said, say, signedIn, write }
