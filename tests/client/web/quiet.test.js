'use strict'
/** Muted chats, and quiet hours. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { DARK, LIGHT, Server, browser, look, openChat, signedIn, write } = require('./harness')

const shared = browser()
const NOTICES = ['--set', 'notice.template_id=dev-notice', '--set', 'notice.fields=thing1={sender}']
const row = (page, peer) => page.locator(`#conversations a[data-peer=${peer}]`)

test('a muted chat has a grey badge and is not counted in the title, on all devices of the user', async t => {
  const server = await Server.start(t)
  await write(shared, server, 'bob', 'alice', ['one', 'two'])
  await write(shared, server, 'carol', 'alice', ['one'])
  const { page: alice } = await signedIn(t, shared, server, 'alice', LIGHT)
  const { page: other } = await signedIn(t, shared, server, 'alice', DARK)
  const title = (page, words) => page.waitForFunction(words => document.title === words, words)
  await title(alice, '(3) 鸿雁')
  await row(alice, 'bob').click({ button: 'right' })
  await look(alice, 'menu-of-a-chat-light')
  await alice.getByRole('menuitem', { name: '消息免打扰' }).click()
  await row(alice, 'bob').getByRole('img', { name: '已免打扰' }).waitFor()
  await row(other, 'bob').getByRole('img', { name: 'Muted' }).waitFor()
  await title(alice, '(1) 鸿雁')
  await title(other, '(1) Hongyan')
  for (const page of [alice, other]) {
    assert.deepEqual(await page.locator('.badge.quiet').allTextContents(), ['2'])
    assert.equal(await row(page, 'carol').locator('.i-muted').count(), 0)
  }
  await row(other, 'bob').getByText('2 unread').waitFor()
  await look(alice, 'muted-light')
  await look(other, 'muted-dark')

  // In the room's own menu it is the other way round.
  await row(other, 'bob').click()
  await other.click('#more')
  assert.deepEqual(await other.getByRole('menuitem').allTextContents(), ['Contact', 'Pin to top', 'Unmute', 'Delete chat'])
  await other.getByRole('menuitem', { name: 'Unmute' }).click()
  for (const page of [alice, other]) await row(page, 'bob').locator('.i-muted').waitFor({ state: 'detached' })

  // What is no conversation yet cannot be muted.
  await openChat(other, 'dora')
  await other.click('#more')
  assert.deepEqual(await other.getByRole('menuitem').allTextContents(), ['Contact', 'Delete chat'])
})

test('quiet hours stand in the profile where the server sends notices', async t => {
  const server = await Server.start(t, ...NOTICES)
  const quiet = async () => (await server.request('GET', '/v1/notices', { as: 'alice' })).quiet
  const { page } = await signedIn(t, shared, server, 'alice', { ...DARK, timezoneId: 'Asia/Shanghai' })
  const save = async () => {
    await page.getByRole('button', { name: 'Save' }).click()
    await page.locator('#profile-dialog').waitFor({ state: 'hidden' })
  }
  const open = async () => {
    await page.click('#me')
    await page.locator('#profile-quiet').waitFor()
  }
  await open()
  assert.equal(await page.getByLabel('Quiet hours').isChecked(), false)
  await save()
  assert.equal(await quiet(), null, 'nothing was said of them')

  await open()
  await page.getByLabel('Quiet hours').check()
  await look(page, 'quiet-hours-dark')
  await page.getByLabel('To', { exact: true }).fill('07:30')
  await save()
  assert.deepEqual(await quiet(), { from: '22:00', to: '07:30', utc_offset_minutes: 480 })
  const { page: other } = await signedIn(t, shared, server, 'alice', LIGHT)
  await other.click('#me')
  await other.locator('#profile-quiet').waitFor()
  assert.deepEqual([await other.getByLabel('从').inputValue(), await other.getByLabel('到').inputValue()], ['22:00', '07:30'])
  await look(other, 'quiet-hours-light')

  await open()
  await page.getByLabel('Quiet hours').uncheck()
  await save()
  assert.deepEqual(await quiet(), { from: '00:00', to: '00:00', utc_offset_minutes: 480 })
  await open()
  assert.equal(await page.getByLabel('Quiet hours').isChecked(), false)

  // A time that is none.
  await page.getByLabel('Quiet hours').check()
  await page.getByLabel('To', { exact: true }).fill('')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('Fill in both times').waitFor()
})

test('a server without notices has no quiet hours', async t => {
  const server = await Server.start(t)
  const { page } = await signedIn(t, shared, server, 'alice', LIGHT)
  const answered = page.waitForResponse(/\/v1\/notices$/)
  await page.click('#me')
  await answered
  await page.getByRole('button', { name: '保存' }).waitFor()
  assert.equal(await page.locator('#profile-quiet').isVisible(), false)
})
