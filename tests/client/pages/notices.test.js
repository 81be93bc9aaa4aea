'use strict'
// Muted chats, the stock of notices and quiet hours, and the chat that a notice opens.
const assert = require('node:assert/strict')
const { test } = require('node:test')
const { openPage } = require('../browser')
const { DARK, NOTICES, Server, TEMPLATE, openPhone, studio } = require('./harness')
const { FIELD, back, bubble, conversation, hold, message, online, openChat, said, say, seen, tab, title, write } = require('./people')

const shared = studio()
const room = (peer) => `/pages/chat/chat?peer=${peer}`
// Time enough for three messages.
const DELAY = ['--set', 'notice.delay_ms=3000']

/** A phone at WeChat's double, which hears of each yes. */
async function openWeChat(t, server, user, options) {
  const phone = await openPhone(t, shared, server, user, options)
  await phone.page.exposeFunction('hostSubscribed', (template) => fetch(`${server.double}/__subscribe`, {
    method: 'POST', body: JSON.stringify({ openid: user, template_id: template }),
  }))
  await online(phone.page)
  await phone.page.waitForFunction(() => getApp().notices.state().available)
  return phone
}

/** The page of WeChat's double. */
async function openDouble(t, server) {
  const opened = await openPage(t, shared.browser, {})
  await opened.page.goto(server.double)
  return opened
}

const prompt = (page) => page.locator('.wx-sheet', { hasText: TEMPLATE })
const left = (page, count) => page.waitForFunction((wanted) => getApp().notices.state().left === wanted, count)
async function press(page, text) {
  await seen(page, FIELD).fill(text)
  await seen(page, '.chat-room--send').tap()
  await bubble(page, text).first().waitFor()
}
const cell = (page, text) => seen(page, '.cell').filter({ hasText: text })

test('a muted chat has a grey badge and leaves the one on the tab, on both phones of its user', async (t) => {
  const server = await Server.start(t)
  await write(shared, server, 'bob', 'alice', ['one', 'two'])
  await write(shared, server, 'carol', 'alice', ['one'])
  const { page: alice } = await openPhone(t, shared, server, 'alice')
  const { page: tablet } = await openPhone(t, shared, server, 'alice', DARK)
  const badge = (page, text) => page.locator('.wx-tab-badge', { hasText: text }).waitFor()
  await badge(alice, '3')
  await hold(alice, conversation(alice, 'bob'))
  await alice.locator('.wx-sheet button', { hasText: '消息免打扰' }).tap()
  for (const page of [alice, tablet]) {
    await conversation(page, 'bob').locator('.conversation-list--muted').waitFor()
    await badge(page, '1')
    assert.equal(await conversation(page, 'bob').locator('.conversation-list--quiet').textContent(), '2')
    assert.equal(await conversation(page, 'carol').locator('.conversation-list--muted, .conversation-list--quiet').count(), 0)
  }
  assert.match(await conversation(tablet, 'bob').getAttribute('aria-label'), /^bob, muted, 2 unread, two/)
  // What comes changes the row and not the tab.
  await write(shared, server, 'bob', 'alice', ['three'])
  await conversation(tablet, 'three').locator('.conversation-list--quiet', { hasText: '3' }).waitFor()
  await badge(tablet, '1')

  await hold(tablet, conversation(tablet, 'bob'))
  await tablet.locator('.wx-sheet button', { hasText: 'Unmute' }).tap()
  for (const page of [alice, tablet]) {
    await badge(page, '4')
    for (const mark of ['--muted', '--quiet']) await conversation(page, 'bob').locator(`.conversation-list${mark}`).waitFor({ state: 'detached' })
  }
})

test('WeChat is asked when a message is sent by a tap, once a day; the keyboard’s key is no tap', async (t) => {
  const server = await Server.start(t, ...NOTICES)
  const { page } = await openWeChat(t, server, 'alice', { path: room('bob') })
  await say(page, 'by the keyboard')
  await press(page, 'by the button')
  await prompt(page).locator('.confirm').tap()
  await left(page, 1)
  await message(page, 'by the button').locator('.chat-room--sending').waitFor({ state: 'detached' })
  await press(page, 'again')
  assert.equal(await prompt(page).count(), 0)
  assert.deepEqual(await said(page), ['by the keyboard', 'by the button', 'again'])
  assert.deepEqual(await server.request('GET', '/v1/notices', { as: 'alice' }), { templates: [TEMPLATE], grants: { [TEMPLATE]: 1 }, quiet: null })
})

test('it is asked when a second chat is opened, which waits for the answer; and not after a no', async (t) => {
  const server = await Server.start(t, ...NOTICES)
  await write(shared, server, 'bob', 'alice', ['from bob'])
  await write(shared, server, 'carol', 'alice', ['from carol'])
  const { page } = await openWeChat(t, server, 'alice', DARK)
  await openChat(page, 'bob')
  await back(page)
  await conversation(page, 'carol').tap()
  await prompt(page).waitFor()
  assert.equal(await seen(page, FIELD).count(), 0)
  await prompt(page).locator('.cancel').tap()
  await bubble(page, 'from carol').waitFor()
  await press(page, 'hello')
  await back(page)
  await openChat(page, 'bob')
  assert.equal(await prompt(page).count(), 0)
})

test('who keeps to yes is not asked: each message that they send adds one, up to three', async (t) => {
  const server = await Server.start(t, ...NOTICES)
  const { page } = await openWeChat(t, server, 'alice', { path: room('bob') })
  await press(page, '1')
  await prompt(page).locator('input').check()
  await prompt(page).locator('.confirm').tap()
  await left(page, 1)
  for (const [text, count] of [['2', 2], ['3', 3], ['4', 3]]) {
    await page.waitForFunction(() => getApp().notices.state().choice === 'always')
    await press(page, text)
    await left(page, count)
  }
  assert.equal(await prompt(page).count(), 0)
  assert.equal((await server.request('GET', '/v1/notices', { as: 'alice' })).grants[TEMPLATE], 3)
})

test('the profile says how many are left, asks for more, and leads to WeChat’s settings', async (t) => {
  const server = await Server.start(t, ...NOTICES)
  const { page } = await openWeChat(t, server, 'alice', DARK)
  await tab(page, 'Me')
  await cell(page, 'Tap to allow').tap()
  await prompt(page).locator('.confirm').tap()
  await cell(page, '1 left').tap()
  await prompt(page).locator('.confirm').tap()
  await cell(page, '2 left').tap()
  await prompt(page).locator('input').check()
  await prompt(page).locator('.cancel').tap()
  await cell(page, 'Off. Tap for settings').tap()
  // A no took back what was said before.
  await cell(page, 'Tap to allow').waitFor()
})

test('quiet hours are set on one phone and seen on the other', async (t) => {
  const server = await Server.start(t, ...NOTICES)
  const quiet = async () => (await server.request('GET', '/v1/notices', { as: 'alice' })).quiet
  const until = async (page, text) => { await seen(page, '.hours').filter({ hasText: text }).waitFor() }
  const { page } = await openWeChat(t, server, 'alice')
  await tab(page, '我')
  await seen(page, 'wx-switch').tap()
  await until(page, '22:00')
  await seen(page, '.hours').filter({ hasText: '08:00' }).tap()
  await page.locator('.wx-sheet input').fill('07:30')
  await page.locator('.wx-sheet .confirm').tap()
  await until(page, '07:30')
  assert.deepEqual(await quiet(), { from: '22:00', to: '07:30', utc_offset_minutes: 480 })

  const { page: other } = await openWeChat(t, server, 'alice', DARK)
  await tab(other, 'Me')
  await until(other, '07:30')
  await seen(other, 'wx-switch').tap()
  await seen(other, '.hours').first().waitFor({ state: 'detached' })
  await tab(page, '消息')
  await tab(page, '我')
  await seen(page, '.hours').first().waitFor({ state: 'detached' })
  assert.deepEqual(await quiet(), { from: '00:00', to: '00:00', utc_offset_minutes: 480 })
})

test('a server without notices has nothing of them in the profile', async (t) => {
  const server = await Server.start(t)
  const { page } = await openPhone(t, shared, server, 'alice')
  await online(page)
  await tab(page, '我')
  await seen(page, '.centre').waitFor()
  assert.equal(await seen(page, 'wx-switch').count(), 0)
  assert.equal(await cell(page, '离线提醒').count(), 0)
})

/** What stands around the line that says where the new messages begin. */
const newBegins = (page) => seen(page, '.chat-room--row').evaluateAll((rows) => rows.filter((row) => row.querySelector('.chat-room--new')).map((row) => row.querySelector('.chat-room--bubble').textContent))

test('a room shows where the unread begin', async (t) => {
  const server = await Server.start(t)
  await write(shared, server, 'bob', 'alice', ['old'])
  const { page } = await openPhone(t, shared, server, 'alice')
  await openChat(page, 'bob')
  await bubble(page, 'old').waitFor()
  assert.deepEqual(await newBegins(page), [], 'of a chat that is new, all is new')
  // What they see come is not.
  await write(shared, server, 'bob', 'alice', ['seen'])
  await bubble(page, 'seen').waitFor()
  assert.deepEqual(await newBegins(page), [])
  await back(page)
  await write(shared, server, 'bob', 'alice', ['new', 'newer'])
  await conversation(page, 'bob').locator('.conversation-list--badge', { hasText: '2' }).waitFor()
  await openChat(page, 'bob')
  await bubble(page, 'newer').waitFor()
  assert.deepEqual(await newBegins(page), ['new'])
  await write(shared, server, 'bob', 'alice', ['newest'])
  await bubble(page, 'newest').waitFor()
  assert.deepEqual(await newBegins(page), ['new'])
  await back(page)
  await openChat(page, 'bob')
  await bubble(page, 'newest').waitFor()
  assert.deepEqual(await newBegins(page), [])
  await write(shared, server, 'bob', 'alice', ['live'])
  await bubble(page, 'live').waitFor()
  assert.deepEqual(await newBegins(page), [])
})

test('B allows a notice and leaves, A writes three times: one notice, which opens the room with three unread', async (t) => {
  const server = await Server.start(t, ...NOTICES, ...DELAY)
  await server.request('PUT', '/v1/me', { as: 'alice', body: { nickname: '爱丽丝' } })
  const { page: wechat } = await openDouble(t, server)
  const { page: alice } = await openPhone(t, shared, server, 'alice', { path: room('bob') })
  const bob = await openWeChat(t, server, 'bob', { ...DARK, path: room('alice') })
  await say(alice, 'before')
  await bubble(bob.page, 'before').waitFor()
  await press(bob.page, 'bye')
  await prompt(bob.page).locator('.confirm').tap()
  await left(bob.page, 1)
  await bob.page.evaluate(() => host.suspend())
  await bob.page.close()

  // At once, for the notice counts what is there when its time has come.
  await alice.evaluate(() => ['one', 'two', 'three'].forEach((text) => getApp().chat.send('bob', text)))
  const card = wechat.locator('#notices li')
  await card.first().waitFor()
  assert.deepEqual(await card.locator('dt').allTextContents(), ['number2', 'thing1'])
  assert.deepEqual(await card.locator('dd').allTextContents(), ['3', '爱丽丝'])
  // The tap opens the page, on a phone where the mini-program is not running.
  const path = await card.locator('.page').textContent()
  assert.equal(await card.locator('.page a').getAttribute('href'), `${server.url}/#alice`)
  assert.equal(path, 'pages/chat/chat?peer=alice')
  const page = await bob.context.newPage()
  await page.addInitScript((given) => { globalThis.hostSettings = given }, { user: 'bob', language: 'en', url: server.url })
  await page.goto(`${shared.site.url}/#/${path}`)
  await bubble(page, 'three').waitFor()
  await title(page, '爱丽丝')
  await seen(page, '.chat-room--new').waitFor()
  assert.deepEqual(await newBegins(page), ['one'])
  assert.deepEqual((await said(page)).slice(-3), ['one', 'two', 'three'])
  await online(page)
  await message(alice, 'three').locator('.chat-room--mark', { hasText: '已读' }).waitFor()
  // There is no page below it: WeChat's home button leads to the list.
  assert.equal(await page.locator('.wx-back').isVisible(), false)
  await page.locator('.wx-home').tap()
  await conversation(page, '爱丽丝').filter({ hasText: 'three' }).waitFor()
  await conversation(page, '爱丽丝').locator('.conversation-list--badge').waitFor({ state: 'detached' })
  // One was agreed to, one has come.
  assert.equal(await card.count(), 1)
  assert.deepEqual((await server.request('GET', '/v1/notices', { as: 'bob' })).grants, {})
})
