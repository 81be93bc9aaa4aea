'use strict'
/** The sound and the notifications of a page that is hidden. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { DARK, LIGHT, PHONE, Server, browser, bubble, fits, look, online, openChat, say, signedIn, write } = require('./harness')

const shared = browser()

/** Counts what is sounded and shown, and asked for; the browser does it all the same. */
async function signedInAndWatched(t, server, options, before = () => {}) {
  const alice = await signedIn(t, shared, server, 'alice', options)
  await alice.context.addInitScript(() => {
    globalThis.told = { shown: [], closed: 0, notes: 0, asked: 0 }
    const Real = globalThis.Notification
    globalThis.Notification = class extends Real {
      constructor(title, options) {
        super(title, options)
        if (options.tag) told.shown.push([title, options.body])
        globalThis.newest = this
      }

      close() {
        told.closed++
        super.close()
      }

      static requestPermission() {
        told.asked++
        return Real.requestPermission()
      }
    }
    const { start } = OscillatorNode.prototype
    OscillatorNode.prototype.start = function (...times) {
      told.notes++
      return start.apply(this, times)
    }
  })
  await before(alice)
  await alice.page.reload()
  await online(alice.page)
  return alice
}

const told = page => page.evaluate(() => told)
const setHidden = (page, isHidden) => page.evaluate(isHidden => {
  Object.defineProperties(document, { hidden: { configurable: true, value: isHidden }, visibilityState: { configurable: true, value: isHidden ? 'hidden' : 'visible' } })
  document.dispatchEvent(new Event('visibilitychange', { bubbles: true }))
}, isHidden)
/** The words have come, whatever else they did. */
const has = (page, words) => page.locator('#conversations .words', { hasText: words }).waitFor()

test('both are off until the user turns them on, and for what comes while the page is hidden alone', async t => {
  const server = await Server.start(t)
  await server.request('PUT', '/v1/me', { as: 'bob', body: { nickname: '鲍勃' } })
  await write(shared, server, 'bob', 'alice', ['known'])
  await write(shared, server, 'carol', 'alice', ['known'])
  const { page } = await signedInAndWatched(t, server, LIGHT, ({ context }) => context.grantPermissions(['notifications']))
  await page.locator('#conversations .name', { hasText: '鲍勃' }).waitFor()
  await setHidden(page, true)
  await write(shared, server, 'bob', 'alice', ['off'])
  await has(page, 'off')
  assert.deepEqual(await told(page), { shown: [], closed: 0, notes: 0, asked: 0 })
  await setHidden(page, false)

  // Turned on, and not saved: nothing.
  const turnOn = async (...names) => {
    await page.click('#me')
    for (const name of names) await page.getByLabel(name).check()
  }
  await turnOn('声音', '桌面通知')
  await page.getByRole('button', { name: '取消' }).click()
  await setHidden(page, true)
  await write(shared, server, 'bob', 'alice', ['not saved'])
  await has(page, 'not saved')
  assert.deepEqual((await told(page)).shown, [])
  await setHidden(page, false)

  await turnOn('声音', '桌面通知')
  await look(page, 'alerts-light')
  await page.getByRole('button', { name: '保存' }).click()
  await page.locator('#profile-dialog').waitFor({ state: 'hidden' })
  const before = await told(page)
  await write(shared, server, 'bob', 'alice', ['in sight'])
  await has(page, 'in sight')
  assert.deepEqual(await told(page), before, 'the page was not hidden')

  // Hidden: one of each, and nothing of what was said.
  await setHidden(page, true)
  await write(shared, server, 'bob', 'alice', ['a secret'])
  await page.waitForFunction(() => told.shown.length === 1)
  assert.deepEqual((await told(page)).shown, [['鲍勃', '发来一条新消息']])
  assert.ok((await told(page)).notes > before.notes)
  // Not for a muted chat.
  await server.request('PUT', '/v1/conversations/carol/settings', { as: 'alice', body: { muted: true } })
  await page.locator('#conversations a[data-peer=carol] .i-muted').waitFor()
  await write(shared, server, 'carol', 'alice', ['from a muted one'])
  await has(page, 'from a muted one')
  assert.equal((await told(page)).shown.length, 1)
  // A tap on it leads to the chat.
  await page.evaluate(() => { newest.onclick() })
  await page.locator('#who', { hasText: '鲍勃' }).waitFor()
  await setHidden(page, false)

  // The words only where that was chosen too; the setting outlives a reload of the tab.
  await page.click('#me')
  assert.deepEqual(await page.locator('#profile-alerts input').evaluateAll(inputs => inputs.map(({ checked }) => checked)), [true, true, false])
  await page.getByLabel('在通知中显示消息内容').check()
  await page.getByRole('button', { name: '保存' }).click()
  await page.reload()
  await online(page)
  await setHidden(page, true)
  await write(shared, server, 'bob', 'alice', ['what is said'])
  await page.waitForFunction(() => told.shown.length === 1)
  assert.deepEqual((await told(page)).shown, [['鲍勃', 'what is said']])
  // What is read elsewhere does not stay on the desktop.
  const { page: other } = await signedIn(t, shared, server, 'alice', DARK)
  await other.click('#conversations a[data-peer=bob]')
  await page.waitForFunction(() => told.closed > 0)
})

test('a browser that refuses is believed, and what can be done about it is said', async t => {
  const server = await Server.start(t)
  await write(shared, server, 'bob', 'alice', ['known'])
  // Whatever a context is not granted beside something else, Chromium denies.
  const { page } = await signedInAndWatched(t, server, { ...DARK, ...PHONE }, ({ context }) => context.grantPermissions(['clipboard-read']))
  await page.click('#me')
  const box = page.getByLabel('Desktop notifications')
  const choose = async words => {
    await box.click()
    await page.getByText(words).waitFor()
    assert.equal(await box.isChecked(), false)
  }
  assert.equal(await page.evaluate(() => Notification.permission), 'denied')
  await choose('The browser blocks notifications of this page')
  for (const width of [320, 360]) {
    await page.setViewportSize({ width, height: 640 })
    await fits(page)
    await look(page, `alerts-denied-dark-${width}`)
  }
  // A question that is closed without an answer.
  await page.evaluate(() => {
    Object.defineProperty(Notification, 'permission', { configurable: true, value: 'default' })
    Notification.requestPermission = async () => 'default'
  })
  await choose('choose “Allow” when the browser asks')
  // A browser of a phone: the permission, and no notification.
  await page.evaluate(() => {
    globalThis.Notification = class { static permission = 'granted'; constructor() { throw new TypeError('Illegal constructor') } }
  })
  await choose('shows no notifications of pages')
  await page.evaluate(() => { delete globalThis.Notification; globalThis.Notification = undefined })
  await choose('shows no notifications of pages')
  await page.evaluate(() => { Object.defineProperty(globalThis, 'isSecureContext', { configurable: true, value: false }) })
  await choose('only where this page is opened by https')
  // No sound without a device for it.
  await page.evaluate(() => { globalThis.AudioContext = class { constructor() { throw new DOMException('no device', 'NotSupportedError') } } })
  await page.getByLabel('Sound').click()
  await page.getByText('cannot play the sound').waitFor()
  assert.equal(await page.getByLabel('Sound').isChecked(), false)
})

test('alerts are of this tab: they are saved where the server does not take the rest', async t => {
  const server = await Server.start(t)
  const alice = await signedIn(t, shared, server, 'alice', LIGHT)
  alice.expected = / 403 /
  const { page } = alice
  const settings = () => page.evaluate(() => JSON.parse(sessionStorage.getItem('hongyan.alice.alerts')))
  await page.click('#me')
  await page.getByLabel('声音').check()
  await page.fill('#profile-nickname', '爱丽丝')
  await page.route('**/v1/me', route => route.fulfill({ status: 403, json: { status: 403, error: 'content_refused', message: 'no' } }))
  await page.getByRole('button', { name: '保存' }).click()
  await page.locator('#profile-error', { hasText: '内容不被允许' }).waitFor()
  assert.deepEqual(await settings(), { sound: true, notification: false, words: false })
})
