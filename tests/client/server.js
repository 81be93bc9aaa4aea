'use strict'
/** The real server, as long as a test runs. */

const assert = require('node:assert/strict')
const { execFileSync, spawn } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const readline = require('node:readline')

const ROOT = path.join(__dirname, '../..')
const BINARY = path.resolve(process.env.HONGYAN_BIN || path.join(ROOT, 'target/debug/hongyan'))

/** What is to be done when the test ends, the last first: a page is closed before its server stops. */
const endings = new WeakMap()
function atEnd(t, run) {
  if (!endings.has(t)) {
    const runs = []
    endings.set(t, runs)
    t.after(async () => {
      const failures = []
      for (const each of runs.reverse()) await Promise.resolve().then(each).catch(failure => failures.push(failure))
      if (failures.length) throw failures[0]
    })
  }
  endings.get(t).push(run)
}

/** A server with a folder of its own: `hongyan dev`, or `serve` where the options begin with it. It can be killed, and started again where it was. */
class Server {
  static async start(t, ...options) {
    const server = new Server()
    server.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hongyan-client-'))
    server.options = options[0] === 'serve' ? options : ['dev', ...options]
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
    let isReady = false
    for await (const line of readline.createInterface(this.process.stdout)) {
      this.address = /^hongyan: chat at (\S+)$/.exec(line)?.[1] ?? this.address
      this.doubleAddress = /^hongyan: wechat double at (\S+)$/.exec(line)?.[1] ?? this.doubleAddress
      isReady = line === 'hongyan: ready'
      if (isReady) break
    }
    assert.ok(isReady, `${BINARY} did not start`)
    this.process.stdout.resume()
  }

  get url() { return `http://${this.address}` }
  /** Its double of WeChat. */
  get double() { return `http://${this.doubleAddress}` }

  /** SIGKILL says no farewell to anybody; SIGINT is Ctrl-C. */
  async kill(signal = 'SIGKILL') {
    this.process.kill(signal)
    await this.ended
  }

  restart() {
    return this.run(this.address)
  }

  /** Another command of the binary, with the server's settings. */
  command(...args) {
    const [mode, ...settings] = this.options
    return execFileSync(BINARY, [...args, ...(mode === 'dev' ? ['--dev'] : []), ...settings], { cwd: this.folder, env: environment(), encoding: 'utf8' }).trim()
  }

  /** An HTTP call, in the name of somebody where `as` says so. */
  async request(method, route, { as, body } = {}) {
    const headers = as ? { authorization: `Bearer ${await this.token(as)}` } : {}
    const response = await fetch(this.url + route, { method, headers, body: body && JSON.stringify(body) })
    assert.ok(response.ok, `${method} ${route}: ${response.status} ${await response.clone().text()}`)
    return response.status === 204 ? undefined : response.json()
  }

  async token(openid) {
    this.tokens ??= new Map()
    if (!this.tokens.has(openid)) this.tokens.set(openid, (await this.request('POST', '/v1/login', { body: { code: `dev:${openid}` } })).token)
    return this.tokens.get(openid)
  }
}

/** Nothing of who runs the tests: settings of theirs would be the server's. */
function environment() {
  const others = Object.entries(process.env).filter(([name]) => !name.startsWith('HONGYAN_'))
  // What `dev` turns on is on only where a test says so: users are asked for notices, and messages go to WeChat's double first.
  return { ...Object.fromEntries(others), HONGYAN_LOG__FILTER: 'error', HONGYAN_NOTICE__TEMPLATE_ID: '', HONGYAN_SAFETY__MODE: 'off' }
}

module.exports = { ROOT, Server, atEnd }
