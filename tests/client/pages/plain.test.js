'use strict'
// A client of the seed's protocol, from before there were tokens, acks and this mini-program.
const assert = require('node:assert/strict')
const { test } = require('node:test')
const { Server, atEnd, openPhone, studio } = require('./harness')
const { bubble, said, say } = require('./people')

const shared = studio()

/** The seed's URL, fields and heart; in an empty page, for Node 20 has no WebSocket. */
async function seedClient(t, server, openid, peer) {
  const page = await shared.browser.newPage()
  atEnd(t, () => page.close())
  await page.evaluate((url) => new Promise((resolve, reject) => {
    globalThis.heard = []
    globalThis.socket = new WebSocket(url)
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data)
      heard.push(frame)
      if (frame.type === 'init') resolve()
    }
    socket.onerror = reject
    setInterval(() => socket.send('{"type":"heart"}'), 1000)
  }), `${server.url.replace('http', 'ws')}/${openid}?to_user_openid=${peer}&code=dev:${openid}`)
  return {
    say: (text) => page.evaluate(([message, from, to]) => {
      const now = new Date()
      socket.send(JSON.stringify({ type: 'text', message, from_user_openid: from, to_user_openid: to, date: now.toLocaleString(), created_at: now.getTime() }))
    }, [text, openid, peer]),
    hears: (text) => page.waitForFunction((wanted) => heard.some((frame) => frame.message === wanted), text),
    frames: () => page.evaluate(() => heard),
  }
}

test('a plain client talks with the mini-program', async (t) => {
  const server = await Server.start(t)
  const { page: alice } = await openPhone(t, shared, server, 'alice', { path: '/pages/chat/chat?peer=bob' })
  const bob = await seedClient(t, server, 'bob', 'alice')
  await bob.say('from the seed')
  await bubble(alice, 'from the seed').waitFor()
  await say(alice, 'to the seed')
  await bob.hears('to the seed')
  const frame = (await bob.frames()).find(({ message }) => message === 'to the seed')
  assert.deepEqual([frame.type, frame.status, frame.from_user_openid, frame.to_user_openid], ['text', 200, 'alice', 'bob'])
  assert.deepEqual(await said(alice), ['from the seed', 'to the seed'])
})
