'use strict'
/** Whether the other one is there, in the bar of the room. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { DARK, LIGHT, PHONE, Server, browser, fits, look, openChat, say, signedIn } = require('./harness')

const shared = browser()

test('the bar of the room says who is there, and when they were seen last', async t => {
  const server = await Server.start(t)
  const { page: alice } = await signedIn(t, shared, server, 'alice', LIGHT)
  const bobs = await signedIn(t, shared, server, 'bob', { ...DARK, ...PHONE })
  const bob = bobs.page
  await openChat(alice, 'bob')
  await say(alice, 'hello')
  await openChat(bob, 'alice')
  // Alice has written to Bob: he sees her. She sees him once he has written.
  await bob.locator('#presence', { hasText: /^Online$/ }).waitFor()
  assert.equal(await alice.locator('#presence').textContent(), '')
  await say(bob, 'hi')
  await alice.locator('#presence', { hasText: /^在线$/ }).waitFor()
  await look(alice, 'presence-zh')
  await look(bob, 'presence-en')
  await fits(bob)
  await bobs.context.close()
  await alice.locator('#presence', { hasText: '刚刚在线' }).waitFor()
  assert.deepEqual(await alice.evaluate(async () => {
    const { ago } = await import('/assets/time.js')
    return [4, 5, 59, 60, 24 * 60 - 1, 50 * 60].map(minutes => ago(0, minutes * 60_000))
  }), ['刚刚在线', '5分钟前在线', '59分钟前在线', '1小时前在线', '23小时前在线', '2天前在线'])
})
