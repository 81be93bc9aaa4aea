'use strict'
/** Chromium, for people with a page, and for clients without one: Node 20 has no WebSocket. */

const assert = require('node:assert/strict')
const { chromium } = require('playwright-core')
const { atEnd } = require('./server')

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']

/** A browser's own word for a server that is away. */
const AWAY = /WebSocket connection to .* failed|net::ERR_/

const launch = () => chromium.launch({ executablePath: '/usr/bin/chromium', args: FLAGS })

/**
 * Somebody's own browser with a page in it. Whatever its console says against the page, or a Content-Security-Policy refuses, fails the test, but for
 * what `expected` of the answer matches.
 */
async function openPage(t, browser, options) {
  const context = await browser.newContext(options)
  const page = await context.newPage()
  page.setDefaultTimeout(15_000)
  const complaints = []
  page.on('console', message => { if (['error', 'warning'].includes(message.type())) complaints.push(`${message.type()}: ${message.text()} ${message.location().url}`) })
  page.on('pageerror', error => complaints.push(error.stack || JSON.stringify(error)))
  const somebody = { context, page, expected: undefined }
  atEnd(t, async () => {
    await context.close()
    assert.deepEqual(complaints.filter(words => !somebody.expected?.test(words)), [])
  })
  return somebody
}

/** A page of the server's own: `dev` takes no others. */
async function pageOf(browser, server) {
  const page = await browser.newPage()
  await page.goto(`http://${server.address}/healthz`)
  return page
}

/** Writes as a client of `hongyan.v1`, to one or to each of many, and waits until all of it is acked. A message is its text, or its fields. */
async function write({ browser }, server, from, to, messages) {
  const page = await pageOf(browser, server)
  await page.evaluate(({ url, token, to, messages }) => new Promise((resolve, reject) => {
    const socket = new WebSocket(url, ['hongyan.v1', `bearer.${token}`])
    let acked = 0
    const send = (message, i) => socket.send(JSON.stringify({
      type: 'text', to_user_openid: Array.isArray(to) ? to[i] : to, client_msg_id: `${i}-${Math.random()}`, ...(typeof message === 'string' ? { message } : message),
    }))
    socket.onmessage = ({ data }) => {
      const { type } = JSON.parse(data)
      if (type === 'init') messages.forEach(send)
      if (type === 'error') reject(new Error(data))
      if (type === 'ack' && ++acked === messages.length) resolve()
    }
    socket.onclose = () => reject(new Error('the socket was closed'))
  }), { url: `ws://${server.address}/${from}?device=writer`, token: await server.token(from), to, messages })
  await page.close()
}

/** A client of the seed's protocol: no subprotocol, the code in the URL, a heart now and then. */
async function plainClient(t, { browser }, server, openid, peer) {
  const page = await pageOf(browser, server)
  atEnd(t, () => page.close())
  await page.evaluate(url => new Promise((resolve, reject) => {
    globalThis.heard = []
    globalThis.socket = new WebSocket(url)
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data)
      heard.push(frame)
      if (frame.type === 'init') resolve()
    }
    socket.onerror = reject
    setInterval(() => socket.send('{"type":"heart"}'), 1000)
  }), `ws://${server.address}/${openid}?to_user_openid=${peer}&code=dev:${openid}`)
  return {
    say: message => page.evaluate(([message, from, to]) => {
      const now = new Date()
      socket.send(JSON.stringify({ type: 'text', message, from_user_openid: from, to_user_openid: to, date: now.toLocaleString(), created_at: now.getTime() }))
    }, [message, openid, peer]),
    send: frame => page.evaluate(frame => socket.send(JSON.stringify(frame)), frame),
    /** The first frame with this message. */
    hears: message => page.waitForFunction(message => heard.find(frame => frame.message === message), message).then(found => found.jsonValue()),
    frames: () => page.evaluate(() => heard),
  }
}

module.exports = { AWAY, launch, openPage, plainClient, write }
