'use strict'
// The walk of two people, one with a light phone in Chinese and one with a dark one in English.
const assert = require('node:assert/strict')
const { test } = require('node:test')
const { DARK, Server, openPhone, studio } = require('./harness')
const { FIELD, answer, back, bubble, conversation, drag, frameSent, hold, menu, message, online, openChat, said, say, seen, tab, title, write } = require('./people')

const shared = studio()
const room = (peer) => `/pages/chat/chat?peer=${peer}`

test('two people sign in, write, and see each other’s marks', async (t) => {
  const server = await Server.start(t)
  const { page: alice } = await openPhone(t, shared, server, 'alice')
  const { page: bob } = await openPhone(t, shared, server, 'bob', DARK)
  await seen(alice, '.empty-state--text').filter({ hasText: '还没有聊天' }).waitFor()
  await seen(bob, '.empty-state--text').filter({ hasText: 'No chats yet' }).waitFor()

  // Alice starts the chat by an openid, as a developer does.
  await seen(alice, '.start').tap()
  await alice.locator('.wx-modal input').fill('bob')
  await alice.locator('.wx-modal .confirm').tap()
  await title(alice, 'bob')
  await say(alice, '你好，鲍勃 👋🏽')

  // Bob is in their list: a line, and a badge there and on the tab.
  await conversation(bob, 'alice').filter({ hasText: '你好，鲍勃 👋🏽' }).waitFor()
  assert.equal(await conversation(bob, 'alice').locator('.conversation-list--badge').textContent(), '1')
  await bob.locator('.wx-tab-badge', { hasText: '1' }).waitFor()
  await openChat(bob, 'alice')
  await bubble(bob, '你好，鲍勃 👋🏽').waitFor()

  // The one who types is in the other's title.
  await seen(bob, FIELD).pressSequentially('Hi')
  await title(alice, '对方正在输入…')
  await seen(bob, FIELD).press('Enter')
  await bubble(alice, 'Hi').waitFor()
  await title(alice, 'bob')
  assert.equal(await seen(bob, FIELD).inputValue(), '')
  await message(bob, 'Hi').locator('.chat-room--mark', { hasText: 'Read' }).waitFor()
  // Whoever has not answered tells no marks; now they have.
  await say(alice, '在看吗')
  await message(alice, '在看吗').locator('.chat-room--mark', { hasText: '已读' }).waitFor()

  // With the button, and the badge is gone.
  await seen(bob, FIELD).fill('second')
  await seen(bob, '.chat-room--send').tap()
  await bubble(alice, 'second').waitFor()
  await back(bob)
  await conversation(bob, 'alice').filter({ hasText: 'second' }).waitFor()
  assert.equal(await conversation(bob, 'alice').locator('.conversation-list--badge').count(), 0)
  assert.equal(await bob.locator('.wx-tab-badge').first().textContent(), '')
  await say(alice, '在吗')
  await message(alice, '在吗').locator('.chat-room--mark', { hasText: '已送达' }).waitFor()
  assert.deepEqual(await said(alice), ['你好，鲍勃 👋🏽', 'Hi', '在看吗', 'second', '在吗'])
})

test('a message is recalled by a long press, on both phones', async (t) => {
  const server = await Server.start(t)
  const { page: alice } = await openPhone(t, shared, server, 'alice', { path: room('bob') })
  const { page: bob } = await openPhone(t, shared, server, 'bob', { ...DARK, path: room('alice') })
  await say(alice, 'a slip')
  await bubble(bob, 'a slip').waitFor()

  // What is not one's own is not recalled.
  await hold(bob, bubble(bob, 'a slip'))
  assert.deepEqual(await menu(bob), ['Copy', 'Select', 'Choose several'])
  await seen(bob, '.chat-room--action').first().tap()
  assert.equal(await bob.evaluate(() => host.clipboard), 'a slip')

  await message(alice, 'a slip').locator('.chat-room--sending').waitFor({ state: 'detached' })
  await hold(alice, bubble(alice, 'a slip'))
  await seen(alice, '.chat-room--action').filter({ hasText: '撤回' }).tap()
  await seen(alice, '.chat-room--note').filter({ hasText: '你撤回了一条消息' }).waitFor()
  await seen(bob, '.chat-room--note').filter({ hasText: 'A message was recalled' }).waitFor()
  assert.deepEqual([await said(alice), await said(bob)], [[], []])
})

test('a link is copied, since a mini-program opens none', async (t) => {
  const server = await Server.start(t)
  await write(shared, server, 'bob', 'alice', ['看这个 https://example.com/a?b=1，好吗'])
  const { page: alice } = await openPhone(t, shared, server, 'alice', { path: room('bob') })
  await seen(alice, '.chat-room--link').tap()
  await alice.locator('.wx-toast').waitFor()
  assert.equal(await alice.evaluate(() => host.clipboard), 'https://example.com/a?b=1')
})

test('what comes while the app is hidden is there when it is shown', async (t) => {
  const server = await Server.start(t)
  const { page: alice } = await openPhone(t, shared, server, 'alice', { path: room('bob') })
  await say(alice, 'before')
  await message(alice, 'before').locator('.chat-room--sending').waitFor({ state: 'detached' })
  await alice.evaluate(() => host.suspend())
  await write(shared, server, 'bob', 'alice', ['one', 'two', 'three'])
  await alice.evaluate(() => host.show())
  await bubble(alice, 'three').waitFor()
  assert.deepEqual(await said(alice), ['before', 'one', 'two', 'three'])
})

test('the list is asked for anew when it is pulled down, and a chat leaves it', async (t) => {
  const server = await Server.start(t)
  await write(shared, server, 'bob', 'alice', ['hello'])
  await write(shared, server, 'carol', 'alice', ['moin'])
  const { page: alice } = await openPhone(t, shared, server, 'alice')
  await conversation(alice, 'carol').waitFor()
  await online(alice)
  const asked = frameSent(alice, '"sync"')
  await drag(alice, seen(alice, '.conversation-list--list'), 200)
  await asked
  await alice.waitForFunction(() => document.querySelector('.wx-refresher').hidden)

  await hold(alice, conversation(alice, 'bob'))
  await alice.locator('.wx-sheet button', { hasText: '删除' }).tap()
  await alice.locator('.wx-modal', { hasText: '与“bob”的聊天记录将从你的所有设备上永久删除' }).waitFor()
  await answer(alice, false)
  assert.equal((await server.request('GET', '/v1/conversations', { as: 'alice' })).conversations.length, 2)
  await hold(alice, conversation(alice, 'bob'))
  await alice.locator('.wx-sheet button', { hasText: '删除' }).tap()
  await answer(alice, true)
  await conversation(alice, 'bob').waitFor({ state: 'detached' })
  await conversation(alice, 'carol').waitFor()
  await tab(alice, '我')
  await tab(alice, '消息')
  assert.equal(await conversation(alice, 'bob').count(), 0)
})
