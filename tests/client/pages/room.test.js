'use strict'
// A room with much that is unread, with long messages, in windows that change, and the field below it.
const assert = require('node:assert/strict')
const { test } = require('node:test')
const { DARK, Server, openPhone, studio } = require('./harness')
const { FIELD, above, atEnd, back, bubble, conversation, online, openChat, said, say, scroll, seen, write } = require('./people')

const shared = studio()
const room = (peer) => `/pages/chat/chat?peer=${peer}`
const NO_RATE = ['--set', 'limits.messages_per_second=0', '--set', 'limits.http_per_second=0']
const numbered = (name, count) => Array.from({ length: count }, (_, index) => `${name} ${index + 1}.`)
const pill = (page) => seen(page, '.chat-room--unread')
const line = (page) => seen(page, '.chat-room--row').filter({ has: page.locator('.chat-room--new') })

test('a room with 90 unread has a button that leads to the first of them', async (t) => {
  const server = await Server.start(t, ...NO_RATE)
  await write(shared, server, 'bob', 'alice', numbered('old', 50))
  const { page } = await openPhone(t, shared, server, 'alice', { path: room('bob') })
  await bubble(page, 'old 50.').waitFor()
  await online(page)
  await page.locator('.wx-home').tap()
  await page.evaluate(() => host.suspend())
  await write(shared, server, 'bob', 'alice', numbered('new', 90))
  await page.evaluate(() => host.show())
  await conversation(page, 'bob').filter({ hasText: '90' }).waitFor()
  await openChat(page, 'bob')
  await bubble(page, 'new 90.').waitFor()
  await atEnd(page)
  await pill(page).filter({ hasText: '↑ 90 条新消息' }).waitFor()
  assert.equal(await line(page).count(), 0)

  await pill(page).tap()
  await line(page).filter({ hasText: 'new 1.' }).waitFor()
  await pill(page).waitFor({ state: 'detached' })
  const list = await seen(page, '.chat-room--list').boundingBox()
  const first = await bubble(page, 'new 1.').first().boundingBox()
  assert.ok(first.y >= list.y && first.y < list.y + list.height / 3, `${first.y} in ${list.y} + ${list.height}`)
  // What was before is above it, and what follows below, without a hole.
  const texts = await said(page)
  assert.ok(texts.includes('old 50.') && texts.includes('new 2.'))
  assert.deepEqual(texts.slice(texts.indexOf('new 1.')), numbered('new', 90).slice(0, texts.length - texts.indexOf('new 1.')))
  // A look at who wrote, and the line is where it was.
  await seen(page, '.chat-room--face').first().tap()
  await seen(page, '.write').waitFor()
  await back(page)
  await line(page).filter({ hasText: 'new 1.' }).waitFor()
  // And back to the end with the other button.
  await seen(page, '.chat-room--latest').tap()
  await atEnd(page)
  assert.equal(await pill(page).count(), 0)
})

test('a first start counts what is unread, and a hand that scrolls there is as good as the button', async (t) => {
  const server = await Server.start(t, ...NO_RATE)
  await write(shared, server, 'bob', 'alice', numbered('message', 90))
  // A notice opens the chat on a phone that knows nothing of it.
  const { page } = await openPhone(t, shared, server, 'alice', { ...DARK, path: room('bob') })
  await pill(page).filter({ hasText: '↑ 90 new messages' }).waitFor()
  await atEnd(page)
  for (let step = 0; step < 200 && await pill(page).count(); step += 1) {
    await scroll(page, -400)
    await page.evaluate(() => new Promise((resolve) => { setTimeout(resolve, 50) }))
  }
  assert.equal(await pill(page).count(), 0)
  await line(page).filter({ hasText: 'message 1.' }).waitFor()
})

test('a few unread need no button: their line is on the screen', async (t) => {
  const server = await Server.start(t, ...NO_RATE)
  await write(shared, server, 'bob', 'alice', numbered('old', 30))
  const { page } = await openPhone(t, shared, server, 'alice', { path: room('bob') })
  await bubble(page, 'old 30.').waitFor()
  await online(page)
  await page.locator('.wx-home').tap()
  await write(shared, server, 'bob', 'alice', numbered('new', 3))
  await openChat(page, 'bob')
  await line(page).filter({ hasText: 'new 1.' }).waitFor()
  // Whoever was counted is seen once the room has looked.
  await page.waitForFunction(() => getCurrentPages().at(-1).data.unread === 0)
  assert.equal(await pill(page).count(), 0)
})

test('however long messages are, no setData is large', async (t) => {
  const server = await Server.start(t, ...NO_RATE, '--set', 'limits.bytes_per_day=0')
  const long = (index) => `${index} `.padEnd(8000, 'long words ')
  for (let part = 0; part < 4; part += 1) await write(shared, server, 'bob', 'alice', Array.from({ length: 40 }, (_, index) => long(part * 40 + index)))
  const { page } = await openPhone(t, shared, server, 'alice', { path: room('bob') })
  await bubble(page, '159 long').waitFor()
  // All at once, further up, and down again: each call is counted by the host, and a large one fails the test.
  await page.evaluate(async () => { while (getApp().chat.hasOlder('bob')) await getApp().chat.loadOlder('bob') })
  await page.evaluate(() => { getCurrentPages()[0].onFollow({ detail: { on: false } }) })
  for (let step = 0; step < 4; step += 1) await page.evaluate(() => getCurrentPages()[0].onOlder())
  await bubble(page, '0 long').first().waitFor()
  assert.equal(await seen(page, '.chat-room--row').count(), 160)
  await page.evaluate(() => getCurrentPages()[0].onLatest())
  await atEnd(page)
  const { largest, calls } = await page.evaluate(() => host.settings.setData)
  console.log(`figure: 160 messages of 8 000 characters: the largest of ${calls} calls of setData has ${largest} bytes`)
  assert.ok(largest <= 256 * 1024)
  await bubble(page, '159 long').locator('.chat-room--whole').tap()
  await seen(page, '.piece').waitFor()
  assert.equal((await seen(page, '.piece').textContent()).length, 8000)
})

test('a window that is resized stays at the end of the room, and further up where it was', async (t) => {
  const server = await Server.start(t, ...NO_RATE)
  await write(shared, server, 'bob', 'alice', numbered('a message of some words, so that it takes two lines on a phone that is folded', 60))
  const { page } = await openPhone(t, shared, server, 'alice', { path: room('bob'), width: 320, height: 640 })
  await bubble(page, ' 60.').waitFor()
  await atEnd(page)
  for (const size of [{ width: 640, height: 720 }, { width: 320, height: 640 }, { width: 720, height: 320 }, { width: 375, height: 900 }, { width: 375, height: 500 }]) {
    await page.setViewportSize(size)
    await atEnd(page)
    // It stays there: nothing that the change of size scrolled has counted as a finger.
    await page.evaluate(() => new Promise((resolve) => { setTimeout(resolve, 200) }))
    assert.ok(await above(page) < 2, JSON.stringify(size))
    assert.equal(await page.evaluate(() => getCurrentPages()[0].data.follow), true)
  }
  await write(shared, server, 'bob', 'alice', ['the last'])
  await bubble(page, 'the last').waitFor()
  await atEnd(page)
})

test('with no word of the keyboard’s end, the gap closes when the field is left', async (t) => {
  const server = await Server.start(t)
  const { page } = await openPhone(t, shared, server, 'alice', { path: room('bob'), settings: { keyboardFallsSilently: true } })
  await say(page, 'hello')
  const bottom = async () => { const box = await seen(page, '.chat-room--composer').boundingBox(); return Math.round(box.y + box.height) }
  await seen(page, FIELD).blur()
  for (let turn = 0; turn < 2; turn += 1) {
    await page.evaluate(() => host.keyboard(291))
    await seen(page, FIELD).tap()
    await page.waitForFunction(() => document.querySelector('.chat-room--composer').getBoundingClientRect().bottom < 400)
    assert.equal(await bottom(), 667 - 291)
    await seen(page, '.chat-room--list').tap({ position: { x: 5, y: 5 } })
    await page.waitForFunction(() => document.querySelector('.chat-room--composer').getBoundingClientRect().bottom > 600)
    assert.equal(await bottom(), 667)
  }
  // And with the page, whatever the field says.
  await seen(page, FIELD).tap()
  await page.waitForFunction(() => document.querySelector('.chat-room--composer').getBoundingClientRect().bottom < 400)
  await page.evaluate(() => wx.navigateTo({ url: '/pages/person/person?openid=bob' }))
  await seen(page, '.write').waitFor()
  await back(page)
  assert.equal(await bottom(), 667)
})

test('no key is lost where setData takes its time', async (t) => {
  const server = await Server.start(t)
  const { page } = await openPhone(t, shared, server, 'alice', { path: room('bob'), settings: { fieldDelay: 60 } })
  await online(page)
  const keys = 'abcdefghijklmnopqrst'
  await seen(page, FIELD).tap()
  await page.keyboard.type(keys, { delay: 20 })
  await page.evaluate(() => new Promise((resolve) => { setTimeout(resolve, 200) }))
  assert.equal(await seen(page, FIELD).inputValue(), keys)
  await seen(page, '.chat-room--send').tap()
  await bubble(page, keys).waitFor()
  await page.waitForFunction((selector) => document.querySelector(selector).value === '', FIELD)
  // Sent twice, and the field is empty each time.
  await page.keyboard.type(keys, { delay: 20 })
  await page.keyboard.press('Enter')
  await page.waitForFunction((selector) => document.querySelector(selector).value === '', FIELD)
  await bubble(page, keys).nth(1).waitFor()
  assert.deepEqual(await said(page), [keys, keys])
})

test('a text that was refused is in the field again, as often as it is', async (t) => {
  const server = await Server.start(t)
  const { page } = await openPhone(t, shared, server, 'alice', { ...DARK, path: room('bob') })
  await online(page)
  const text = '鸿'.repeat(2000)
  await page.evaluate(() => { getApp().chat.send = () => { throw Object.assign(new Error('too large'), { word: 'too_large' }) } })
  for (let turn = 0; turn < 2; turn += 1) {
    await seen(page, FIELD).fill(text)
    await seen(page, '.chat-room--send').tap()
    await page.locator('.wx-toast', { hasText: 'too long' }).waitFor()
    await page.waitForFunction(([selector, wanted]) => document.querySelector(selector).value === wanted, [FIELD, text])
    await seen(page, '.chat-room--send.chat-room--ready').waitFor()
  }
})
