'use strict'
// The words of a message that was recalled are written anew.
const assert = require('node:assert/strict')
const { test } = require('node:test')
const { DARK, Server, openPhone, studio } = require('./harness')
const { FIELD, act, answer, back, bubble, hold, message, online, openChat, say, seen, tab, title } = require('./people')

const shared = studio()
const room = (peer) => `/pages/chat/chat?peer=${peer}`
const again = (page) => seen(page, '.chat-room--again')
const field = (page) => seen(page, FIELD).inputValue()

async function recall(page, text) {
  await say(page, text)
  await message(page, text).locator('.chat-room--sending').waitFor({ state: 'detached' })
  await hold(page, bubble(page, text))
  await act(page, '撤回')
  await bubble(page, text).waitFor({ state: 'detached' })
}

test('who has recalled a text may write it anew, for some minutes and on this phone', async (t) => {
  const server = await Server.start(t)
  const { page } = await openPhone(t, shared, server, 'alice', { path: room('bob') })
  const { page: bob } = await openPhone(t, shared, server, 'bob', { ...DARK, path: room('alice') })
  await online(page)
  await page.clock.install()
  await recall(page, '明天三点见')
  await seen(page, '.chat-room--note').filter({ hasText: '你撤回了一条消息' }).filter({ hasText: '重新编辑' }).waitFor()
  await again(page).tap()
  assert.equal(await field(page), '明天三点见')
  // Nothing that is typed is lost: it goes in at the caret.
  await seen(page, FIELD).fill('before after')
  await seen(page, FIELD).evaluate((node) => node.setSelectionRange(7, 7))
  await seen(page, FIELD).blur()
  await again(page).tap()
  assert.equal(await field(page), 'before 明天三点见after')
  await page.waitForFunction(() => getApp().drafts.get('bob') === 'before 明天三点见after')
  // Nor where both are too much for the field.
  await seen(page, FIELD).fill('鸿'.repeat(1999))
  await again(page).tap()
  await page.locator('.wx-toast', { hasText: '太长' }).waitFor()
  assert.equal(await field(page), '鸿'.repeat(1999))
  await seen(page, FIELD).fill('')

  // The other side knows nothing of it.
  await seen(bob, '.chat-room--note').filter({ hasText: 'A message was recalled' }).waitFor()
  assert.equal(await again(bob).count(), 0)
  // It stays when the chat is left, and in no storage.
  await page.locator('.wx-home').tap()
  await openChat(page, 'bob')
  await again(page).waitFor()
  assert.ok(!(await page.evaluate(() => JSON.stringify({ ...localStorage }))).includes('明天三点'))
  await page.clock.fastForward(4 * 60_000)
  assert.equal(await again(page).count(), 1)
  await page.clock.fastForward(61_000)
  await again(page).waitFor({ state: 'detached' })
})

test('the words go with the account', async (t) => {
  const server = await Server.start(t)
  const { page } = await openPhone(t, shared, server, 'alice')
  await online(page)
  await page.evaluate(() => wx.navigateTo({ url: '/pages/chat/chat?peer=bob' }))
  await recall(page, 'a secret')
  await again(page).waitFor()
  await back(page)
  await tab(page, '我')
  await seen(page, '.centre').tap()
  await answer(page, true)
  await seen(page, '.notice--action').tap()
  await tab(page, '消息')
  await openChat(page, 'bob')
  await title(page, 'bob')
  await seen(page, '.chat-room--note').first().waitFor()
  assert.equal(await again(page).count(), 0)
})
