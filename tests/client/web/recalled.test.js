'use strict'
/** The words of a message that was recalled are written anew. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { DARK, LIGHT, Server, browser, bubble, look, online, openChat, say, signedIn } = require('./harness')

const shared = browser()
const field = '#composer textarea'

async function recall(page, words, label) {
  await say(page, words)
  await page.locator('.row', { has: bubble(page, words) }).and(page.locator('[data-state=sent], [data-state=delivered], [data-state=read]')).waitFor()
  await bubble(page, words).click({ button: 'right' })
  await page.getByRole('menuitem', { name: label }).click()
  await bubble(page, words).waitFor({ state: 'detached' })
}

test('who has recalled a text may write it anew, for some minutes and on this device', async t => {
  const server = await Server.start(t)
  const { page } = await signedIn(t, shared, server, 'alice', LIGHT)
  const { page: bob } = await signedIn(t, shared, server, 'bob', DARK)
  await openChat(bob, 'alice')
  await openChat(page, 'bob')
  await page.clock.install()
  await recall(page, '明天<三>点见', '撤回')
  const again = page.getByRole('button', { name: '重新编辑' })
  await page.locator('.note', { hasText: '你撤回了一条消息' }).and(page.locator('.note', { has: again })).waitFor()
  await look(page, 're-edit-light')
  await again.click()
  assert.equal(await page.inputValue(field), '明天<三>点见')
  assert.equal(await page.evaluate(() => document.activeElement.localName), 'textarea')
  // Nothing that is written is lost: it goes in at the caret, and a selection stays.
  await page.fill(field, 'before, after')
  await page.locator(field).evaluate(element => element.setSelectionRange(3, 7))
  await again.click()
  assert.equal(await page.inputValue(field), 'before,明天<三>点见 after')
  // With the keyboard: on the row.
  await page.fill(field, '')
  await page.focus('#log')
  await page.keyboard.press('ArrowUp')
  await page.keyboard.press('Enter')
  assert.equal(await page.inputValue(field), '明天<三>点见')

  // The other side knows nothing of it, nor does a message of theirs.
  await bob.locator('#messages').getByText('“alice” recalled a message').waitFor()
  assert.equal(await bob.locator('.re-edit').count(), 0)
  // It is kept in no storage, and outlives its minutes no more than a reload.
  await page.fill(field, '')
  assert.ok(!(await page.evaluate(() => JSON.stringify({ ...sessionStorage }))).includes('明天<三>'))
  await page.clock.fastForward(4 * 60_000)
  assert.equal(await again.count(), 1)
  await page.clock.fastForward(60_000)
  await again.waitFor({ state: 'detached' })
  await recall(page, 'gone with the page', '撤回')
  await again.waitFor()
  await page.reload()
  await online(page)
  await page.locator('.note', { hasText: '你撤回了一条消息' }).first().waitFor()
  assert.equal(await again.count(), 0)
})
