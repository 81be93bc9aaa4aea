'use strict'
/** Pinned chats. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { DARK, LIGHT, Server, browser, look, openChat, signedIn, write } = require('./harness')

const shared = browser()
const row = (page, peer) => page.locator(`#conversations a[data-peer=${peer}]`)
const peers = page => page.$$eval('#conversations a', links => links.map(link => link.dataset.peer))
const order = (page, wanted) => page.waitForFunction(wanted => [...document.querySelectorAll('#conversations a')].map(link => link.dataset.peer).join() === wanted, wanted.join())
const ground = (page, peer) => row(page, peer).evaluate(link => getComputedStyle(link).backgroundColor)

test('a pinned chat stands first and on grey, on all devices of the user', async t => {
  const server = await Server.start(t)
  for (const peer of ['bob', 'carol', 'dora']) await write(shared, server, peer, 'alice', ['hello'])
  const { page: alice } = await signedIn(t, shared, server, 'alice', LIGHT)
  const { page: other } = await signedIn(t, shared, server, 'alice', DARK)
  await order(alice, ['dora', 'carol', 'bob'])
  const plain = await ground(alice, 'bob')

  await row(alice, 'bob').click({ button: 'right' })
  assert.deepEqual(await alice.getByRole('menuitem').allTextContents(), ['详细资料', '置顶聊天', '消息免打扰', '删除该聊天'])
  await alice.getByRole('menuitem', { name: '置顶聊天' }).click()
  for (const page of [alice, other]) await order(page, ['bob', 'dora', 'carol'])
  await row(alice, 'bob').getByText('已置顶').waitFor()
  // Its name is read out with it.
  await other.getByRole('link', { name: /bob.*Pinned/s }).waitFor()
  await alice.mouse.move(0, 0)
  assert.notEqual(await ground(alice, 'bob'), plain)
  assert.equal(await ground(alice, 'dora'), plain)
  await look(alice, 'pinned-light')
  await look(other, 'pinned-dark')

  // Among those that are pinned the newest is first, and what comes elsewhere stays below.
  await server.request('PUT', '/v1/conversations/carol/settings', { as: 'alice', body: { pinned: true } })
  for (const page of [alice, other]) await order(page, ['carol', 'bob', 'dora'])
  await write(shared, server, 'dora', 'alice', ['again'])
  await row(alice, 'dora').getByText('again').waitFor()
  assert.deepEqual(await peers(alice), ['carol', 'bob', 'dora'])
  // So is a chat with nothing but a draft.
  await openChat(alice, 'erin')
  await alice.fill('#composer textarea', 'not yet')
  await openChat(alice, 'bob')
  await order(alice, ['carol', 'bob', 'erin', 'dora'])
  await look(alice, 'pinned-open-light')
  await alice.reload()
  await order(alice, ['carol', 'bob', 'erin', 'dora'])

  // In the room's own menu it is the other way round.
  await row(other, 'bob').click()
  await other.click('#more')
  await other.getByRole('menuitem', { name: 'Unpin' }).click()
  await order(other, ['carol', 'dora', 'bob'])
  await row(alice, 'bob').getByText('已置顶').waitFor({ state: 'detached' })
})

test('the card pins; where no more may be it says so; a chat that is deleted is not pinned any more', async t => {
  const server = await Server.start(t, '--set', 'limits.pinned_per_user=1')
  for (const peer of ['bob', 'carol']) await write(shared, server, peer, 'alice', ['hello'])
  const signed = await signedIn(t, shared, server, 'alice', LIGHT)
  signed.expected = / 413 /
  const { page: alice } = signed
  const card = async peer => {
    await row(alice, peer).click({ button: 'right' })
    await alice.getByRole('menuitem', { name: '详细资料' }).click()
    return alice.getByRole('dialog', { name: peer })
  }
  const bob = await card('bob')
  const pin = bob.getByRole('switch', { name: '置顶聊天' })
  assert.equal(await pin.getAttribute('aria-checked'), 'false')
  await pin.focus()
  await alice.keyboard.press('Space')
  await bob.locator('[data-action=pin][aria-checked=true]').waitFor()
  assert.equal(await alice.evaluate(() => document.activeElement.dataset.action), 'pin')
  await look(alice, 'card-pinned-light')
  await alice.keyboard.press('Escape')
  await order(alice, ['bob', 'carol'])

  const carol = await card('carol')
  await carol.getByRole('switch', { name: '置顶聊天' }).click()
  await carol.getByText('置顶的聊天已达上限').waitFor()
  assert.equal(await carol.locator('[data-action=pin]').getAttribute('aria-checked'), 'false')
  await alice.keyboard.press('Escape')
  await row(alice, 'carol').click({ button: 'right' })
  await alice.getByRole('menuitem', { name: '置顶聊天' }).click()
  await alice.locator('#toast', { hasText: '置顶的聊天已达上限' }).waitFor()

  await row(alice, 'bob').click({ button: 'right' })
  await alice.getByRole('menuitem', { name: '删除该聊天' }).click()
  await alice.getByRole('dialog').getByRole('button', { name: '删除' }).click()
  await order(alice, ['carol'])
  await row(alice, 'carol').click({ button: 'right' })
  await alice.getByRole('menuitem', { name: '置顶聊天' }).click()
  await row(alice, 'carol').getByText('已置顶').waitFor()
  await write(shared, server, 'bob', 'alice', ['still here'])
  await order(alice, ['carol', 'bob'])
})
