'use strict'
// What is written and not sent yet: drafts, and messages that wait.
const assert = require('node:assert/strict')
const { test } = require('node:test')
const { AWAY, DARK, Server, openPhone, studio } = require('./harness')
const { FIELD, act, answer, back, bubble, conversation, hold, menu, message, online, openChat, said, say, seen, tab, write } = require('./people')

const shared = studio()
const room = (peer) => `/pages/chat/chat?peer=${peer}`
const draft = (page, name) => conversation(page, name).locator('.conversation-list--draft')
const field = (page) => seen(page, FIELD).inputValue()
/** The draft is in the storage. */
const stored = (page, text) => page.waitForFunction((wanted) => (localStorage['wx:drafts'] || '').includes(wanted), text)

test('a draft is kept a chat, stands in the list, and goes with the message', async (t) => {
  const server = await Server.start(t)
  for (const peer of ['bob', 'carol']) await write(shared, server, peer, 'alice', [`from ${peer}`])
  const { page } = await openPhone(t, shared, server, 'alice')
  await openChat(page, 'bob')
  await seen(page, FIELD).pressSequentially('half a thought')
  await back(page)
  await draft(page, 'bob').filter({ hasText: '[草稿]' }).waitFor()
  await conversation(page, 'bob').filter({ hasText: 'half a thought' }).waitFor()
  assert.match(await conversation(page, 'bob').getAttribute('aria-label'), /^bob, \[草稿\] half a thought/)
  // It was the last to be touched, so it is the first.
  assert.match(await seen(page, '.conversation-list--row').first().textContent(), /bob/)

  await openChat(page, 'carol')
  assert.equal(await field(page), '')
  await back(page)
  await openChat(page, 'bob')
  assert.equal(await field(page), 'half a thought')
  // The button knows that there is something to send.
  await seen(page, '.chat-room--send.chat-room--ready').tap()
  await bubble(page, 'half a thought').waitFor()
  assert.equal(await field(page), '')
  await back(page)
  await conversation(page, 'bob').filter({ hasText: 'half a thought' }).waitFor()
  assert.equal(await draft(page, 'bob').count(), 0)
})

test('a draft survives a restart, also one that nobody announced', async (t) => {
  const server = await Server.start(t)
  const { page } = await openPhone(t, shared, server, 'alice', { ...DARK, path: room('bob') })
  await online(page)
  await seen(page, FIELD).fill('in the middle of a')
  await stored(page, 'in the middle of a')
  // The app is gone without a word: no page was hidden.
  await page.reload()
  await seen(page, FIELD).waitFor()
  assert.equal(await field(page), 'in the middle of a')
  await page.locator('.wx-home').tap()
  // Nobody has written in this chat yet, and the draft is found all the same.
  await draft(page, 'bob').filter({ hasText: '[Draft]' }).waitFor()
  await hold(page, conversation(page, 'bob'))
  assert.deepEqual(await page.locator('.wx-sheet button').allTextContents(), ['Delete chat', 'Cancel'])
  await page.locator('.wx-sheet button', { hasText: 'Delete' }).tap()
  await answer(page, true)
  await conversation(page, 'bob').waitFor({ state: 'detached' })
})

test('drafts go with the account', async (t) => {
  const server = await Server.start(t)
  await write(shared, server, 'bob', 'alice', ['hello'])
  const first = await openPhone(t, shared, server, 'alice')
  const { page } = first
  await openChat(page, 'bob')
  await seen(page, FIELD).fill('a secret of Alice’s')
  await back(page)
  await draft(page, 'bob').waitFor()
  await stored(page, 'secret')
  await tab(page, '我')
  await seen(page, '.centre').tap()
  await answer(page, true)
  await seen(page, '.notice--text').filter({ hasText: '已退出登录' }).waitFor()
  await page.waitForFunction(() => !JSON.stringify({ ...localStorage }).includes('secret'))
  await seen(page, '.notice--action').tap()
  await tab(page, '消息')
  await conversation(page, 'bob').waitFor()
  assert.equal(await draft(page, 'bob').count(), 0)

  // Another account signs in on this phone, and nobody had signed out.
  await openChat(page, 'bob')
  await seen(page, FIELD).fill('another secret')
  await stored(page, 'another secret')
  await page.evaluate(() => localStorage.removeItem('wx:hongyan.token'))
  const other = await first.context.newPage()
  await page.close()
  await other.addInitScript((given) => { globalThis.hostSettings = given }, { user: 'mallory', language: 'zh_CN', url: server.url })
  await other.goto(`${shared.site.url}/#${room('bob')}`)
  await online(other)
  assert.equal(await field(other), '')
  assert.ok(!JSON.stringify(await other.evaluate(() => ({ ...localStorage }))).includes('secret'))
})

test('drafts have a bound, and what is no draft is not read', async (t) => {
  const server = await Server.start(t)
  const { page } = await openPhone(t, shared, server, 'alice')
  await online(page)
  const kept = await page.evaluate(() => {
    const { drafts } = getApp()
    for (let peer = 0; peer < 80; peer += 1) drafts.set(`p${peer}`, '鸿'.repeat(10_000))
    drafts.save()
    return { peers: drafts.all().map(({ peer }) => peer), bytes: new TextEncoder().encode(localStorage['wx:drafts']).length }
  })
  assert.equal(kept.peers.length, 50)
  assert.deepEqual([kept.peers[0], kept.peers[49]], ['p79', 'p30'])
  assert.ok(kept.bytes < 1024 * 1024, `${kept.bytes}`)

  for (const rubbish of ['"x"', '{"owner":"alice","drafts":7}', '{"owner":"alice","drafts":[null,{"peer":1,"text":"x","at":1},{"peer":"user.1","text":"x","at":1},{"peer":"v1","text":"x","at":1},{"peer":"bob","text":"good","at":1}]}', '{"owner":5,"drafts":[]}']) {
    await page.evaluate((json) => { localStorage['wx:drafts'] = json }, rubbish)
    await page.reload()
    await online(page)
    assert.deepEqual(await page.evaluate(() => getApp().drafts.all().map(({ text }) => text)), rubbish.includes('good') ? ['good'] : [])
  }
})

test('a draft for which there is no room says so', async (t) => {
  const server = await Server.start(t)
  const { page } = await openPhone(t, shared, server, 'alice', { path: room('bob') })
  await online(page)
  await page.evaluate(() => {
    const { setItem } = Storage.prototype
    Storage.prototype.setItem = function (key, value) {
      if (key === 'wx:drafts') throw new Error('setStorageSync:fail exceed storage max size 10Mb')
      setItem.call(this, key, value)
    }
  })
  await seen(page, FIELD).fill('no room')
  await page.locator('.wx-toast', { hasText: '草稿未保存' }).waitFor()
})

test('a message that waits is taken back, and never sent', async (t) => {
  const server = await Server.start(t)
  const alice = await openPhone(t, shared, server, 'alice', { path: room('bob') })
  alice.expected = AWAY
  const { page } = alice
  await say(page, 'first')
  await message(page, 'first').locator('.chat-room--sending').waitFor({ state: 'detached' })
  await server.kill()
  await page.waitForFunction(() => getApp().chat.state !== 'online')
  await say(page, 'better not')
  await say(page, 'this one')
  await hold(page, bubble(page, 'better not'))
  assert.deepEqual(await menu(page), ['复制', '选择', '取消发送', '多选'])
  await act(page, '取消发送')
  await bubble(page, 'better not').waitFor({ state: 'detached' })
  await server.restart()
  await message(page, 'this one').locator('.chat-room--sending').waitFor({ state: 'detached' })
  const { page: bob } = await openPhone(t, shared, server, 'bob', { ...DARK, path: room('alice') })
  await bubble(bob, 'this one').waitFor()
  assert.deepEqual(await said(bob), ['first', 'this one'])
})

test('what is on its way already is not taken back, and that is said', async (t) => {
  const server = await Server.start(t)
  const { page } = await openPhone(t, shared, server, 'alice', { ...DARK, path: room('bob') })
  await say(page, 'first')
  await message(page, 'first').locator('.chat-room--sending').waitFor({ state: 'detached' })
  // The server hears nothing, so that the ack never comes.
  await page.evaluate(() => { WebSocket.prototype.send = () => {} })
  await say(page, 'out it goes')
  await hold(page, bubble(page, 'out it goes'))
  await act(page, 'Don’t send')
  await page.locator('.wx-toast', { hasText: 'It was sent already' }).waitFor()
  assert.equal(await bubble(page, 'out it goes').count(), 1)
})
