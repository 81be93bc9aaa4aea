'use strict'
// Pinned chats.
const assert = require('node:assert/strict')
const { test } = require('node:test')
const { DARK, Server, openPhone, studio } = require('./harness')
const { answer, conversation, fits, hold, online, seen, write } = require('./people')

const shared = studio()
const sheet = (page, text) => page.locator('.wx-sheet button', { hasText: text })
const order = (page, names) => page.waitForFunction((wanted) => (
  [...document.querySelectorAll('.wx-page:not([hidden]) .conversation-list--name')].map((each) => each.textContent).join() === wanted
), names.join())
const ground = (page, name) => conversation(page, name).evaluate((row) => getComputedStyle(row).backgroundColor)
const toast = (page, text) => page.locator('.wx-toast', { hasText: text }).waitFor()
const SURFACE = { light: 'rgb(255, 255, 255)', dark: 'rgb(25, 25, 25)' }

test('a pinned chat stands first and on grey, on both phones of its user', async (t) => {
  const server = await Server.start(t)
  for (const peer of ['bob', 'carol', 'dora']) await write(shared, server, peer, 'alice', ['hello'])
  const { page: alice } = await openPhone(t, shared, server, 'alice')
  const { page: tablet } = await openPhone(t, shared, server, 'alice', DARK)
  await order(alice, ['dora', 'carol', 'bob'])
  await hold(alice, conversation(alice, 'bob'))
  await sheet(alice, '置顶该聊天').tap()
  for (const page of [alice, tablet]) {
    await order(page, ['bob', 'dora', 'carol'])
    await fits(page)
  }
  assert.match(await conversation(tablet, 'bob').getAttribute('aria-label'), /^bob, pinned, 1 unread, hello/)
  assert.match(await conversation(alice, 'bob').getAttribute('aria-label'), /^bob, 已置顶, 1 条未读, hello/)
  assert.notEqual(await ground(alice, 'bob'), SURFACE.light)
  assert.notEqual(await ground(tablet, 'bob'), SURFACE.dark)
  assert.deepEqual([await ground(alice, 'dora'), await ground(tablet, 'dora')], [SURFACE.light, SURFACE.dark])
  // What comes elsewhere stays below.
  await write(shared, server, 'carol', 'alice', ['again'])
  for (const page of [alice, tablet]) await order(page, ['bob', 'carol', 'dora'])

  await hold(tablet, conversation(tablet, 'bob'))
  await sheet(tablet, 'Unpin').tap()
  for (const page of [alice, tablet]) await order(page, ['carol', 'dora', 'bob'])
  assert.equal(await ground(alice, 'bob'), SURFACE.light)
})

test('where no more may be pinned it is said; the card’s switch goes back; a deleted chat is not pinned any more', async (t) => {
  const server = await Server.start(t, '--set', 'limits.pinned_per_user=1')
  for (const peer of ['bob', 'carol']) await write(shared, server, peer, 'alice', ['hello'])
  const phone = await openPhone(t, shared, server, 'alice', DARK)
  phone.expected = / 413 /
  const { page } = phone
  await online(page)
  await hold(page, conversation(page, 'bob'))
  await sheet(page, 'Pin to top').tap()
  await order(page, ['bob', 'carol'])
  await hold(page, conversation(page, 'carol'))
  await sheet(page, 'Pin to top').tap()
  await toast(page, 'No more chats can be pinned')

  const pin = seen(page, '.cell').filter({ hasText: 'Pin to top' }).locator('wx-switch')
  await page.evaluate(() => wx.navigateTo({ url: '/pages/person/person?openid=carol' }))
  await pin.tap()
  await seen(page, '.cell').filter({ hasText: 'Pin to top' }).locator('wx-switch[aria-checked="false"]').waitFor()
  await fits(page)
  await page.evaluate(() => wx.navigateBack())

  await hold(page, conversation(page, 'bob'))
  await sheet(page, 'Delete chat').tap()
  await answer(page, true)
  await order(page, ['carol'])
  await page.evaluate(() => wx.navigateTo({ url: '/pages/person/person?openid=carol' }))
  await pin.tap()
  await page.waitForFunction(() => getApp().chat.conversations().some(({ peer, pinned }) => peer === 'carol' && pinned))
  await page.evaluate(() => wx.navigateBack())
  await write(shared, server, 'bob', 'alice', ['still here'])
  await order(page, ['carol', 'bob'])
})
