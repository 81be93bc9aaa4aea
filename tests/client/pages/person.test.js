'use strict'
// The card of a person, what is copied and selected, and what WeChat refuses.
const assert = require('node:assert/strict')
const { test } = require('node:test')
const { AWAY, DARK, Server, openPhone, studio } = require('./harness')
const { FIELD, act, answer, back, bubble, conversation, fits, hold, message, online, openChat, said, say, seen, tab, title, write } = require('./people')

const shared = studio()
const room = (peer) => `/pages/chat/chat?peer=${peer}`
const face = (page, text) => message(page, text).locator('.chat-room--face')
const cell = (page, text) => seen(page, '.cell').filter({ hasText: text })
const turn = (page, text) => cell(page, text).locator('wx-switch').tap()
const isOn = (page, text, on) => cell(page, text).locator(`wx-switch[aria-checked="${on}"]`).waitFor()
const toast = (page, text) => page.locator('.wx-toast', { hasText: text }).waitFor()
const OPENID = 'oUpF8uMuAJO_M2pxb1Q9zNjWeS6o'

test('a tap on a face opens the card: mute, block, report and the openid', async (t) => {
  const server = await Server.start(t)
  await write(shared, server, OPENID, 'alice', ['hello'])
  const { page } = await openPhone(t, shared, server, 'alice', { path: room(OPENID), settings: { envVersion: 'release' } })
  await bubble(page, 'hello').waitFor()
  await online(page)
  await face(page, 'hello').tap()
  await title(page, '详细资料')
  await seen(page, '.name').filter({ hasText: '微信用户 eS6o' }).waitFor()
  // Nobody reads an openid: it is copied, and not shown.
  assert.ok(!(await page.locator('.wx-page:not([hidden])').textContent()).includes(OPENID))
  await cell(page, '复制 openid').tap()
  await toast(page, 'openid 已复制')
  assert.equal(await page.evaluate(() => host.clipboard), OPENID)

  await turn(page, '消息免打扰')
  await page.waitForFunction((peer) => getApp().chat.conversations().find((each) => each.peer === peer).muted, OPENID)
  await isOn(page, '消息免打扰', true)

  await isOn(page, '加入黑名单', false)
  await turn(page, '加入黑名单')
  await page.locator('.wx-modal', { hasText: '你将不再收到“微信用户 eS6o”的消息' }).waitFor()
  await answer(page, false)
  await isOn(page, '加入黑名单', false)
  const blocks = async () => (await server.request('GET', '/v1/blocks', { as: 'alice' })).blocks.map(({ openid }) => openid)
  assert.deepEqual(await blocks(), [])
  await turn(page, '加入黑名单')
  await answer(page, true)
  await isOn(page, '加入黑名单', true)
  assert.deepEqual(await blocks(), [OPENID])
  await turn(page, '加入黑名单')
  await isOn(page, '加入黑名单', false)
  await page.waitForFunction(() => !document.querySelector('.wx-modal'))
  assert.deepEqual(await blocks(), [])

  await cell(page, '投诉与反馈').tap()
  assert.ok(await page.evaluate(() => host.feedback))
  await fits(page)
  // Back to the chat that it was opened from, and not into a second one.
  await seen(page, '.write').tap()
  await bubble(page, 'hello').waitFor()
  assert.equal(await page.evaluate(() => getCurrentPages().length), 1)
})

test('one’s own face has a card without switches, and nobody’s has none', async (t) => {
  const server = await Server.start(t)
  const { page } = await openPhone(t, shared, server, 'alice', { ...DARK, path: room('bob') })
  await online(page)
  await say(page, 'mine')
  await face(page, 'mine').tap()
  await title(page, 'Contact')
  await seen(page, '.note').filter({ hasText: 'You' }).waitFor()
  assert.equal(await seen(page, 'wx-switch').count(), 0)
  const { page: nobody } = await openPhone(t, shared, server, 'alice', { ...DARK, path: '/pages/person/person?openid=../me' })
  await nobody.locator('.wx-page[data-path="pages/conversations/conversations"]').waitFor()
})

test('a switch that the server does not take goes back', async (t) => {
  const server = await Server.start(t)
  await write(shared, server, 'bob', 'alice', ['hello'])
  const alice = await openPhone(t, shared, server, 'alice', { ...DARK, path: room('bob') })
  alice.expected = AWAY
  const { page } = alice
  await bubble(page, 'hello').waitFor()
  await online(page)
  await face(page, 'hello').tap()
  await isOn(page, 'Block', false)
  await page.locator('wx-switch[aria-disabled="true"]').waitFor({ state: 'detached' })
  await server.kill()
  await turn(page, 'Block')
  await answer(page, true)
  await toast(page, 'out of reach')
  await isOn(page, 'Block', false)
  await turn(page, 'Mute')
  await isOn(page, 'Mute', false)
  // And the list of the blocked offers to try again.
  await page.evaluate(() => wx.navigateTo({ url: '/pages/blocked/blocked' }))
  await seen(page, '.unblock').filter({ hasText: 'Try again' }).waitFor()
  await server.restart()
  await online(page)
  await seen(page, '.unblock').tap()
  await seen(page, '.empty-state--text').filter({ hasText: 'Nobody is blocked' }).waitFor()
})

test('who is blocked is found again without a chat', async (t) => {
  const server = await Server.start(t, '--set', 'limits.http_per_second=0')
  for (let person = 0; person < 120; person += 1) await server.request('PUT', `/v1/blocks/p${String(person).padStart(3, '0')}`, { as: 'alice' })
  const { page } = await openPhone(t, shared, server, 'alice')
  await online(page)
  await tab(page, '我')
  await cell(page, '黑名单').tap()
  await cell(page, 'p119').waitFor()
  assert.equal(await seen(page, '.cell').count(), 120)
  await cell(page, 'p119').locator('.unblock').tap()
  await cell(page, 'p119').waitFor({ state: 'detached' })
  await cell(page, 'p118').waitFor()
  // One on the second page of the answer is known to be blocked, too.
  await page.evaluate(() => wx.navigateTo({ url: '/pages/person/person?openid=p118' }))
  await isOn(page, '加入黑名单', true)
})

test('a release shows nobody an openid', async (t) => {
  const server = await Server.start(t)
  for (const [envVersion, count] of [['release', 0], ['develop', 1]]) {
    const { page } = await openPhone(t, shared, server, OPENID, { settings: { envVersion } })
    await online(page)
    await tab(page, '我')
    await seen(page, '.card').waitFor()
    assert.equal(await seen(page, '.value').filter({ hasText: OPENID }).count(), count)
  }
})

test('part of a message is selected on a page for it, the whole is copied', async (t) => {
  const server = await Server.start(t)
  const long = Array.from({ length: 700 }, (_, index) => `word${index}`).join(' ')
  await write(shared, server, 'bob', 'alice', [long, 'the number is 4711, please'])
  const { page } = await openPhone(t, shared, server, 'alice', { ...DARK, path: room('bob') })
  await bubble(page, 'the number').waitFor()
  const selects = (locator) => locator.evaluate((node) => getComputedStyle(node).userSelect)
  assert.equal(await selects(bubble(page, 'the number').locator('.chat-room--words')), 'none')
  await hold(page, bubble(page, 'the number'))
  await act(page, 'Select')
  await title(page, 'Message')
  assert.equal(await seen(page, '.piece').textContent(), 'the number is 4711, please')
  assert.equal(await selects(seen(page, '.piece')), 'text')
  await back(page)

  // A long one shows its beginning; all of it is a tap away, and is what is copied.
  await bubble(page, 'word0').scrollIntoViewIfNeeded()
  assert.ok((await bubble(page, 'word0').textContent()).length < 1000)
  await hold(page, bubble(page, 'word0'))
  await act(page, 'Copy')
  assert.equal(await page.evaluate(() => host.clipboard), long)
  await bubble(page, 'word0').locator('.chat-room--whole').tap()
  await seen(page, '.piece').waitFor()
  assert.equal(await seen(page, '.piece').textContent(), long)
  await fits(page)
  await seen(page, '.copy').tap()
  assert.equal(await page.evaluate(() => host.clipboard), long)
})

test('a copy that WeChat refuses says why, wherever it was asked for', async (t) => {
  const server = await Server.start(t)
  await write(shared, server, 'bob', 'alice', ['see https://example.com/a'])
  const notDeclared = { errno: 112, errMsg: 'api scope is not declared in the privacy agreement' }
  const { page } = await openPhone(t, shared, server, 'alice', { settings: { clipboardFailure: notDeclared } })
  await openChat(page, 'bob')
  const refused = async (text) => {
    await toast(page, text)
    await page.locator('.wx-toast').waitFor({ state: 'detached' })
    assert.equal(await page.evaluate(() => host.clipboard), undefined)
  }
  await seen(page, '.chat-room--link').tap()
  await refused('用户隐私保护指引')
  await hold(page, bubble(page, 'see'))
  await act(page, '复制')
  await refused('用户隐私保护指引')
  await face(page, 'see').tap()
  await cell(page, '复制 openid').tap()
  await refused('用户隐私保护指引')
  await back(page)
  await back(page)
  await tab(page, '我')
  for (const [failure, text] of [
    [{ errno: 104, errMsg: 'privacy permission is not authorized' }, '尚未同意'],
    [{ errMsg: 'access denied' }, '复制失败: access denied'],
  ]) {
    await page.evaluate((given) => { host.settings.clipboardFailure = given }, failure)
    await cell(page, 'openid').first().tap()
    await refused(text)
  }
})

test('a page that WeChat does not open says so', async (t) => {
  const server = await Server.start(t)
  await write(shared, server, 'bob', 'alice', ['hello'])
  const { page } = await openPhone(t, shared, server, 'alice')
  await online(page)
  // WeChat keeps ten pages at most.
  await page.evaluate(async (url) => { for (let depth = 1; depth < 10; depth += 1) await wx.navigateTo({ url }) }, room('bob'))
  await face(page, 'hello').tap()
  await toast(page, '微信未能打开: webview count limit exceed')
})
