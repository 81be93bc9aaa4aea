'use strict'
/** The card of somebody, and copying. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { DARK, LIGHT, PHONE, Server, browser, bubble, fits, longPress, look, openChat, say, signedIn, write } = require('./harness')

const shared = browser()
const row = (page, peer) => page.locator(`#conversations a[data-peer=${peer}]`)
const blocks = async (server, as) => (await server.request('GET', '/v1/blocks?limit=100', { as })).blocks.map(({ openid }) => openid)

test('a face opens a card: copy the openid, mute, block and take back', async t => {
  const server = await Server.start(t, '--set', 'limits.http_per_second=0')
  await server.request('PUT', '/v1/me', { as: 'bob', body: { nickname: '鲍勃' } })
  await write(shared, server, 'bob', 'alice', ['hello'])
  // More than one page of the list of blocks, and bob is in none of them.
  for (let i = 0; i < 120; i++) await server.request('PUT', `/v1/blocks/a${String(i).padStart(3, '0')}`, { as: 'alice' })
  const { page: alice, context } = await signedIn(t, shared, server, 'alice', LIGHT)
  await context.grantPermissions(['clipboard-read', 'clipboard-write'])
  await row(alice, 'bob').click()
  await alice.locator('.row:not(.mine) .avatar').click()
  const card = alice.getByRole('dialog', { name: '鲍勃' })
  const action = name => card.getByRole('button', { name })
  await action('加入黑名单').waitFor()
  await alice.waitForFunction(() => !document.querySelector('[data-action=block]').disabled)
  assert.equal(await card.locator('code').textContent(), 'bob')
  await look(alice, 'card-light')

  await action('复制 openid').click()
  await card.getByText('openid 已复制').waitFor()
  await look(alice, 'card-toast-light')
  assert.equal(await alice.evaluate(() => navigator.clipboard.readText()), 'bob')

  const muted = card.getByRole('switch', { name: '消息免打扰' })
  assert.equal(await muted.getAttribute('aria-checked'), 'false')
  await muted.click()
  await alice.locator('[data-action=mute][aria-checked=true]').waitFor()
  await row(alice, 'bob').getByRole('img', { name: '已免打扰' }).waitFor()
  await muted.click()
  await alice.locator('[data-action=mute][aria-checked=false]').waitFor()

  const question = alice.getByRole('dialog', { name: '加入黑名单？' })
  await action('加入黑名单').click()
  await look(alice, 'block-light')
  await question.getByRole('button', { name: '取消' }).click()
  assert.ok(!(await blocks(server, 'alice')).includes('bob'))
  await action('加入黑名单').click()
  await question.getByRole('button', { name: '加入黑名单' }).click()
  await action('移出黑名单').waitFor()
  await look(alice, 'blocked-light')
  const { page: bob } = await signedIn(t, shared, server, 'bob', DARK)
  await openChat(bob, 'alice')
  await say(bob, 'can you hear me')
  await bob.getByText('The other side does not take messages from you').waitFor()

  // It is found again, on a second page, by the keyboard, and taken back without a question.
  await alice.keyboard.press('Escape')
  await card.waitFor({ state: 'hidden' })
  await alice.focus('#who')
  await alice.keyboard.press('Enter')
  await action('移出黑名单').press('Enter')
  await action('加入黑名单').waitFor()
  assert.ok(!(await blocks(server, 'alice')).includes('bob'))

  // One's own face opens one's own profile.
  await alice.keyboard.press('Escape')
  await say(alice, 'hi')
  await alice.locator('.row.mine .avatar').click()
  await alice.getByRole('dialog', { name: '个人资料' }).waitFor()
})

test('a card where something fails says so, on a phone and in the dark', async t => {
  const server = await Server.start(t)
  await write(shared, server, 'bob', 'alice', ['hello'])
  const alice = await signedIn(t, shared, server, 'alice', { ...DARK, ...PHONE })
  const { page } = alice
  alice.expected = /ERR_FAILED/
  await longPress(alice, row(page, 'bob'))
  await page.route('**/v1/blocks*', route => route.abort())
  await page.getByRole('menuitem', { name: 'Contact' }).tap()
  await page.getByRole('dialog', { name: 'bob' }).getByText('No network').waitFor()
  assert.equal(await page.getByRole('button', { name: 'Block' }).isDisabled(), true)
  await page.setViewportSize({ width: 320, height: 568 })
  await fits(page)
  await look(page, 'card-failed-dark')
  await page.unroute('**/v1/blocks*')
  await page.getByRole('button', { name: 'Close' }).tap()

  // A chat that is none yet cannot be muted.
  await openChat(page, 'carol')
  await page.tap('#who')
  await page.waitForFunction(() => document.querySelector('[data-action=block]')?.disabled === false)
  assert.deepEqual(await page.locator('.cells button').allTextContents(), ['Copy openid', 'Block'])
  await look(page, 'card-dark')
})

test('a part of a message can be selected and copied: with a mouse, a finger, the keyboard', async t => {
  const server = await Server.start(t)
  const words = 'the code is 48151623 and <b>nothing</b> else'
  await write(shared, server, 'bob', 'alice', [words])
  const alice = await signedIn(t, shared, server, 'alice', { ...LIGHT, ...PHONE, viewport: { width: 390, height: 700 } })
  const { page, context } = alice
  await context.grantPermissions(['clipboard-read', 'clipboard-write'])
  const clipboard = () => page.evaluate(() => navigator.clipboard.readText())
  await row(page, 'bob').tap()
  await longPress(alice, bubble(page, 'the code'))
  await page.getByRole('menuitem', { name: '选择' }).tap()
  const dialog = page.getByRole('dialog', { name: '消息' })
  const field = dialog.getByRole('textbox')
  assert.equal(await field.inputValue(), words)
  await dialog.getByRole('button', { name: '复制全部' }).waitFor()
  await look(page, 'select-light')
  await field.evaluate(field => field.setSelectionRange(12, 20))
  await dialog.getByRole('button', { name: '复制所选' }).tap()
  await dialog.getByText('已复制').waitFor()
  assert.equal(await clipboard(), '48151623')
  await field.evaluate(field => field.setSelectionRange(0, 0))
  await dialog.getByRole('button', { name: '复制全部' }).tap()
  await page.waitForFunction(words => navigator.clipboard.readText().then(found => found === words), words)
  await page.keyboard.press('Escape')

  const other = await signedIn(t, shared, server, 'alice', DARK)
  await other.context.grantPermissions(['clipboard-read', 'clipboard-write'])
  await row(other.page, 'bob').click()
  // A mouse selects in the bubble itself, and its menu is the browser's then.
  await bubble(other.page, 'the code').dblclick({ position: { x: 20, y: 20 } })
  assert.equal(await other.page.evaluate(() => getSelection().toString().trim()), 'the')
  await bubble(other.page, 'the code').click({ button: 'right', position: { x: 20, y: 20 } })
  assert.equal(await other.page.locator('#menu').isVisible(), false)
  // The keyboard has the same dialog.
  await other.page.focus('#log')
  for (const key of ['ArrowUp', 'Enter', 'ArrowDown', 'Enter']) await other.page.keyboard.press(key)
  await other.page.getByRole('dialog', { name: 'Message' }).waitFor()
  await other.page.keyboard.type('it takes no letters')
  for (let i = 0; i < 8; i++) await other.page.keyboard.press('Shift+ArrowRight')
  await other.page.getByRole('button', { name: 'Copy selection' }).press('Enter')
  await other.page.waitForFunction(() => navigator.clipboard.readText().then(found => found === 'the code'))
  await look(other.page, 'select-dark')
})

test('a clipboard that refuses says so, and shows the words to be copied by hand', async t => {
  const server = await Server.start(t)
  await write(shared, server, 'bob', 'alice', ['hello there'])
  const { page } = await signedIn(t, shared, server, 'alice', DARK)
  await row(page, 'bob').click()
  const refuse = ({ isOldWayToo }) => page.evaluate(isOldWayToo => {
    navigator.clipboard.writeText = () => Promise.reject(new DOMException('Write permission denied.', 'NotAllowedError'))
    if (isOldWayToo) document.execCommand = () => false
  }, isOldWayToo)
  const copy = async () => {
    await bubble(page, 'hello').click({ button: 'right' })
    await page.getByRole('menuitem', { name: 'Copy' }).click()
  }
  // Over plain http there is no clipboard of the newer kind, and the older way does.
  await refuse({ isOldWayToo: false })
  await copy()
  await page.locator('#toast', { hasText: 'Copied' }).waitFor()
  await refuse({ isOldWayToo: true })
  await copy()
  const dialog = page.getByRole('dialog', { name: 'Message' })
  await dialog.getByText('Not copied').waitFor()
  assert.deepEqual(await page.evaluate(() => { const field = document.activeElement; return field.value.slice(field.selectionStart, field.selectionEnd) }), 'hello there')
  await look(page, 'not-copied-dark')
  await page.keyboard.press('Escape')
  await page.click('#who')
  await page.click('[data-action=copy]')
  await dialog.getByText('Not copied').waitFor()
  assert.equal(await dialog.getByRole('textbox').inputValue(), 'bob')
})
