'use strict'
// What goes wrong: servers that are away, refusals, and a phone that is not wanted any more.
const assert = require('node:assert/strict')
const { test } = require('node:test')
const { AWAY, DARK, Server, openPhone, studio } = require('./harness')
const { act, answer, bubble, hold, menu, message, online, said, say, seen, write } = require('./people')

const shared = studio()
const room = (peer) => `/pages/chat/chat?peer=${peer}`
const notice = (page, text) => seen(page, '.notice--text').filter({ hasText: text })

test('a server that is killed mid-conversation loses and doubles nothing on screen', async (t) => {
  const server = await Server.start(t)
  const alice = await openPhone(t, shared, server, 'alice', { path: room('bob') })
  const bob = await openPhone(t, shared, server, 'bob', { ...DARK, path: room('alice') })
  alice.expected = bob.expected = AWAY
  await say(alice.page, 'a1')
  await bubble(bob.page, 'a1').waitFor()
  await say(bob.page, 'b1')
  await bubble(alice.page, 'b1').waitFor()

  await server.kill()
  await say(alice.page, 'a2')
  await say(alice.page, 'a3')
  await say(bob.page, 'b2')
  await notice(alice.page, '连不上服务器').waitFor()
  await notice(bob.page, 'out of reach').waitFor()
  await message(alice.page, 'a2').locator('.chat-room--sending').waitFor()

  await server.restart()
  for (const { page } of [alice, bob]) {
    for (const text of ['a2', 'a3', 'b2']) {
      await bubble(page, text).waitFor()
      await message(page, text).locator('.chat-room--sending').waitFor({ state: 'detached' })
    }
    await seen(page, '.notice--text').waitFor({ state: 'detached' })
  }
  const texts = await said(alice.page)
  assert.deepEqual(texts.slice().sort(), ['a1', 'a2', 'a3', 'b1', 'b2'])
  assert.ok(texts.indexOf('a2') < texts.indexOf('a3'))
  assert.deepEqual(await said(bob.page), texts)
})

test('what was written without a server survives the app, and goes out', async (t) => {
  const server = await Server.start(t)
  const alice = await openPhone(t, shared, server, 'alice', { path: room('bob') })
  alice.expected = AWAY
  await say(alice.page, 'before')
  await message(alice.page, 'before').locator('.chat-room--sending').waitFor({ state: 'detached' })
  await server.kill()
  await say(alice.page, 'in the tunnel')
  await alice.page.evaluate(() => host.hide())
  await alice.page.reload()
  await message(alice.page, 'in the tunnel').locator('.chat-room--sending').waitFor()
  assert.deepEqual(await said(alice.page), ['before', 'in the tunnel'])
  await server.restart()
  await message(alice.page, 'in the tunnel').locator('.chat-room--sending').waitFor({ state: 'detached' })
  const { page: bob } = await openPhone(t, shared, server, 'bob', { path: room('alice') })
  await bubble(bob, 'in the tunnel').waitFor()
  assert.deepEqual(await said(bob), ['before', 'in the tunnel'])
})

test('a message that is refused is marked; a tap asks before it sends it again, and the menu forgets it', async (t) => {
  const server = await Server.start(t)
  await server.request('PUT', '/v1/blocks/alice', { as: 'bob' })
  const { page } = await openPhone(t, shared, server, 'alice', { path: room('bob') })
  await say(page, 'once')
  await message(page, 'once').locator('.chat-room--failed').waitFor()
  await message(page, 'once').locator('.chat-room--why', { hasText: '对方不接收你的消息' }).waitFor()
  await say(page, 'twice')
  await message(page, 'twice').locator('.chat-room--failed').waitFor()

  await server.request('DELETE', '/v1/blocks/alice', { as: 'bob' })
  await message(page, 'once').locator('.chat-room--failed').tap()
  await page.locator('.wx-modal', { hasText: '重发该消息？' }).waitFor()
  await answer(page, false)
  assert.equal(await message(page, 'once').locator('.chat-room--failed').count(), 1)
  await message(page, 'once').locator('.chat-room--failed').tap()
  await answer(page, true)
  await message(page, 'once').locator('.chat-room--failed').waitFor({ state: 'detached' })
  await hold(page, bubble(page, 'twice'))
  assert.deepEqual(await menu(page), ['复制', '选择', '重发', '删除', '多选'])
  await act(page, '删除')
  await bubble(page, 'twice').waitFor({ state: 'detached' })
  assert.deepEqual(await said(page), ['once'])
})

test('mistakes in the set-up say what to do', async (t) => {
  const server = await Server.start(t)
  const { page: unlisted } = await openPhone(t, shared, server, 'alice', { settings: { domainNotListed: true } })
  await notice(unlisted, '域名未加入白名单').waitFor()

  // A code of another mini-program: the double of WeChat knows none but its own.
  const foreign = await openPhone(t, shared, server, 'not an openid')
  foreign.expected = /401/
  await notice(foreign.page, 'AppID 不一致').waitFor()

  const away = await openPhone(t, shared, server, 'alice', { settings: { url: 'http://127.0.0.1:9' } })
  away.expected = /ERR_UNSAFE_PORT|ERR_CONNECTION_REFUSED/
  await notice(away.page, '连不上服务器').waitFor()
})

test('a card that names nobody leads to the list', async (t) => {
  const server = await Server.start(t)
  for (const peer of ['', 'v1', 'not%20an%20openid', '../me', 'x'.repeat(65)]) {
    const { page } = await openPhone(t, shared, server, 'alice', { path: room(peer) })
    await page.locator('.wx-page[data-path="pages/conversations/conversations"]').waitFor()
    await online(page)
  }
})

test('who was sent away may come back where that is allowed', async (t) => {
  const server = await Server.start(t)
  const { page } = await openPhone(t, shared, server, 'alice')
  await online(page)
  server.command('kick', 'alice')
  await notice(page, '已被管理员断开连接').waitFor()
  await seen(page, '.notice--action').filter({ hasText: '重新连接' }).tap()
  await online(page)
  await seen(page, '.notice--text').waitFor({ state: 'detached' })

  server.command('ban', 'alice')
  await notice(page, '账号已被停用').waitFor()
  assert.equal(await seen(page, '.notice--action').count(), 0)
})

test('a second window of the same phone takes over, and gives back', async (t) => {
  const server = await Server.start(t)
  await write(shared, server, 'bob', 'alice', ['hello'])
  const first = await openPhone(t, shared, server, 'alice', { path: room('bob') })
  await bubble(first.page, 'hello').waitFor()
  await online(first.page)
  // With the same storage, and so the same device.
  const second = await first.context.newPage()
  await second.addInitScript((given) => { globalThis.hostSettings = given }, { user: 'alice', language: 'zh_CN', url: server.url })
  await second.goto(first.page.url())
  await bubble(second, 'hello').waitFor()
  await notice(first.page, '已在另一处登录').waitFor()
  await seen(first.page, '.notice--action').filter({ hasText: '在此处使用' }).tap()
  await online(first.page)
  await notice(second, '已在另一处登录').waitFor()
})
