'use strict'
// Whether the other one is there, above the messages.
const assert = require('node:assert/strict')
const { test } = require('node:test')
const { DARK, Server, openPhone, studio } = require('./harness')
const { bubble, say, seen } = require('./people')
const { seenAgo } = require('../../../miniprogram/utils/time')
const shared = studio()
const words = ['en', 'zh-CN'].map((name) => require(`../../../miniprogram/i18n/${name}`).room)

test('a time of long ago is said in whole hours and days, in both languages', () => {
  const MINUTE = 60000
  const said = (minutes) => words.map((each) => seenAgo(0, minutes * MINUTE, each))
  assert.deepEqual(said(4), ['Seen just now', '刚刚在线'])
  assert.deepEqual(said(5), ['Seen 5 min ago', '5 分钟前在线'])
  assert.deepEqual(said(59), ['Seen 59 min ago', '59 分钟前在线'])
  assert.deepEqual(said(60), ['Seen 1 h ago', '1 小时前在线'])
  assert.deepEqual(said(50 * 60), ['Seen 2 d ago', '2 天前在线'])
})

test('the room says who is there, and when they were seen last', async (t) => {
  const server = await Server.start(t)
  const { page: alice } = await openPhone(t, shared, server, 'alice', { path: '/pages/chat/chat?peer=bob' })
  await say(alice, '你好')
  const bobs = await openPhone(t, shared, server, 'bob', { ...DARK, path: '/pages/chat/chat?peer=alice' })
  const bob = bobs.page
  // Alice has written to Bob: he sees her. She sees him once he has written.
  await seen(bob, '.presence').filter({ hasText: /^Online$/ }).waitFor()
  assert.equal(await seen(alice, '.presence').count(), 0)
  await say(bob, 'Hi')
  await bubble(alice, 'Hi').waitFor()
  await seen(alice, '.presence').filter({ hasText: /^在线$/ }).waitFor()
  await bobs.context.close()
  await seen(alice, '.presence').filter({ hasText: '刚刚在线' }).waitFor()
  // The messages keep to their end.
  await bubble(alice, 'Hi').waitFor()
})
