'use strict'
// The panel of emoji, in the keyboard's place.
const assert = require('node:assert/strict')
const { test } = require('node:test')
const { DARK, Server, openPhone, studio } = require('./harness')
const { FIELD, atEnd, back, bubble, online, openChat, say, seen, tab, write } = require('./people')

const shared = studio()
const room = (peer) => `/pages/chat/chat?peer=${peer}`
const panel = (page) => seen(page, '.chat-room--panel')
const button = (page) => seen(page, '.chat-room--emoji')
const emoji = (page, each) => seen(page, '.emoji-panel--emoji').filter({ hasText: new RegExp(`^${each}$`) }).last()
const field = (page) => seen(page, FIELD).inputValue()
const recent = async (page) => {
  const names = await seen(page, '.emoji-panel--name').allTextContents()
  return [names[0], await seen(page, '.emoji-panel--grid').first().locator('.emoji-panel--emoji').allTextContents()]
}

test('an emoji goes in at the caret, what is typed stays, and those used last come first', async (t) => {
  const server = await Server.start(t)
  await write(shared, server, 'bob', 'alice', ['hello'])
  const { page } = await openPhone(t, shared, server, 'alice')
  await openChat(page, 'bob')
  await seen(page, FIELD).fill('早上好，鲍勃')
  await seen(page, FIELD).evaluate((node) => node.setSelectionRange(3, 3))
  await button(page).tap()
  await panel(page).waitFor()
  assert.equal((await recent(page))[0], '表情')
  for (const each of ['😀', '👨‍👩‍👧', '☝️']) await emoji(page, each).tap()
  assert.equal(await field(page), '早上好😀👨‍👩‍👧☝️，鲍勃')
  // The key takes away what is seen as one character.
  for (const left of ['早上好😀👨‍👩‍👧，鲍勃', '早上好😀，鲍勃', '早上好，鲍勃', '早上，鲍勃']) {
    await seen(page, '.emoji-panel--erase').tap()
    assert.equal(await field(page), left)
  }
  await emoji(page, '🐼').tap()
  await back(page)
  await openChat(page, 'bob')
  assert.equal(await field(page), '早上🐼，鲍勃')
  await seen(page, '.chat-room--send.chat-room--ready').tap()
  await bubble(page, '早上🐼').waitFor()

  await button(page).tap()
  assert.deepEqual(await recent(page), ['最近使用', ['🐼', '☝️', '👨‍👩‍👧', '😀']])
  // At the beginning there is nothing to take away, and 2 000 characters are all that goes in.
  await seen(page, '.emoji-panel--erase').tap()
  assert.equal(await field(page), '')
  await seen(page, FIELD).fill('鸿'.repeat(1999))
  await button(page).tap()
  await emoji(page, '🐼').tap()
  await page.locator('.wx-toast').waitFor()
  assert.equal(await field(page), '鸿'.repeat(1999))

  // Kept over a restart, 24 of them, and none that is not ours.
  await page.evaluate(() => { wx.setStorageSync('emoji', ['👍', '<b>', 7, 'constructor']) })
  await page.reload()
  await openChat(page, 'bob')
  await button(page).tap()
  assert.deepEqual(await recent(page), ['最近使用', ['👍']])
  await seen(page, FIELD).fill('')
  await button(page).tap()
  const faces = (await seen(page, '.emoji-panel--grid').nth(1).locator('.emoji-panel--emoji').allTextContents()).slice(0, 30)
  for (const each of faces) await emoji(page, each).tap()
  await button(page).tap()
  await button(page).tap()
  assert.deepEqual(await recent(page), ['最近使用', faces.reverse().slice(0, 24)])
  // And gone with the account.
  await back(page)
  await tab(page, '我')
  await seen(page, '.centre').tap()
  await page.locator('.wx-modal .confirm').tap()
  await page.waitForFunction(() => !wx.getStorageSync('emoji'))
})

test('it takes the keyboard’s place, and the keyboard takes it back', async (t) => {
  const server = await Server.start(t)
  const { page } = await openPhone(t, shared, server, 'alice', { ...DARK, path: room('bob') })
  await online(page)
  for (let line = 1; line <= 15; line += 1) await say(page, `line ${line}`)
  const bottom = async () => { const box = await seen(page, '.chat-room--composer').boundingBox(); return Math.round(box.y + box.height) }
  await page.evaluate(() => host.keyboard(291))
  await seen(page, FIELD).blur()
  await seen(page, FIELD).tap()
  await page.waitForFunction(() => document.querySelector('.chat-room--composer').getBoundingClientRect().bottom < 400)
  const above = await bottom()
  await button(page).tap()
  await panel(page).waitFor()
  assert.deepEqual([await bottom(), await page.evaluate(() => document.activeElement.localName)], [above, 'body'])
  assert.equal(await button(page).getAttribute('aria-label'), 'Keyboard')
  await atEnd(page)
  // The button is the keyboard's now.
  await button(page).tap()
  await panel(page).waitFor({ state: 'detached' })
  assert.deepEqual([await bottom(), await page.evaluate(() => document.activeElement.localName)], [above, 'textarea'])
  // As often as one likes; a tap on the field is as good, and one on the messages closes both.
  await button(page).tap()
  await panel(page).waitFor()
  await seen(page, FIELD).tap()
  await panel(page).waitFor({ state: 'detached' })
  await button(page).tap()
  await panel(page).waitFor()
  await seen(page, '.chat-room--list').tap({ position: { x: 5, y: 5 } })
  await panel(page).waitFor({ state: 'detached' })
  assert.ok(await bottom() > 600)
})
