#!/usr/bin/env bash
# A page of http://127.0.0.1 whose answer went through Playwright's route() may open no WebSocket to the server it is from.
#
# Expected: route.fetch() and route.fulfill({ response }) pass an answer on as it came: the page behaves as without the route.
# Found:    Chromium knows no network address of a fulfilled answer, so by its local network access checks the page is public, and its
#           WebSocket to the very same host and port fails with net::ERR_BLOCKED_BY_LOCAL_NETWORK_ACCESS_CHECKS. A fetch to there is
#           let through. With --disable-features=LocalNetworkAccessChecks both are.
# Needs Node.js 20 or newer with npm, and Chromium at /usr/bin/chromium (CHROMIUM names another); runs in a temporary folder.
set -euo pipefail
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
cd "$temp"
npm install --silent --no-audit --no-fund --prefix . playwright-core@1.65.1 ws@8.18.3 >/dev/null
export CHROMIUM="${CHROMIUM:-/usr/bin/chromium}"
node - <<'JS'
const http = require('node:http')
const { chromium } = require('playwright-core')
const { WebSocketServer } = require('ws')

async function main() {
  const server = http.createServer((request, response) => response.setHeader('content-type', 'text/html').end('<p>page'))
  new WebSocketServer({ server }).on('connection', socket => socket.send('hello'))
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${server.address().port}/`

  async function seen(isRouted, ...flags) {
    const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox', ...flags] })
    const page = await browser.newPage()
    let failure = ''
    page.on('console', message => { failure = /net::\w+/.exec(message.text())?.[0] ?? failure })
    if (isRouted) await page.route(url, async route => route.fulfill({ response: await route.fetch() }))
    await page.goto(url)
    const socket = await page.evaluate(url => new Promise(resolve => {
      const socket = new WebSocket(url)
      socket.onmessage = ({ data }) => resolve(data)
      socket.onerror = () => resolve('')
    }), url.replace('http', 'ws'))
    const fetched = await page.evaluate(url => fetch(`${url}other`).then(answer => answer.status, () => 0), url)
    const version = browser.version()
    await browser.close()
    return { version, socket: socket || failure, fetched }
  }

  const plain = await seen(false)
  const routed = await seen(true)
  const unchecked = await seen(true, '--disable-features=LocalNetworkAccessChecks')
  console.log(`Chromium ${plain.version}, playwright-core 1.65.1`)
  for (const [name, { socket, fetched }] of Object.entries({ 'as it came': plain, fulfilled: routed, 'fulfilled, checks off': unchecked })) {
    console.log(`page ${name}: WebSocket to its own server: ${socket}; fetch: ${fetched}`)
  }
  server.closeAllConnections()
  const asFound = plain.socket === 'hello' && routed.socket === 'net::ERR_BLOCKED_BY_LOCAL_NETWORK_ACCESS_CHECKS' && routed.fetched === 200 && unchecked.socket === 'hello'
  process.exit(asFound ? 0 : 1)
}
main()
JS
