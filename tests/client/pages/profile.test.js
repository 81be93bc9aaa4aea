'use strict'
// Who one is: name, avatar, invitations, languages, and signing out.
const assert = require('node:assert/strict')
const { test } = require('node:test')
const { DARK, Server, openPhone, studio } = require('./harness')
const { bubble, conversation, online, openChat, seen, tab, title, write } = require('./people')

const shared = studio()

/** A picture of so many pixels, of noise that no JPEG makes small. */
const picture = (side) => shared.browser.newPage().then(async (page) => {
  const uri = await page.evaluate((pixels) => {
    const canvas = document.createElement('canvas')
    canvas.width = canvas.height = pixels
    const context = canvas.getContext('2d')
    const image = context.createImageData(pixels, pixels)
    for (let index = 0; index < image.data.length; index += 1) image.data[index] = index % 4 === 3 ? 255 : Math.random() * 256
    context.putImageData(image, 0, 0)
    return canvas.toDataURL('image/jpeg', 0.9)
  }, side)
  await page.close()
  return uri
})

test('a name and an avatar are chosen, and others see them', async (t) => {
  const server = await Server.start(t)
  await write(shared, server, 'alice', 'bob', ['who am I?'])
  const avatar = await picture(900)
  assert.ok(avatar.length > 400_000)
  const { page: alice } = await openPhone(t, shared, server, 'alice', { settings: { avatar } })
  await online(alice)
  await tab(alice, '我')
  await seen(alice, '.nickname input').fill('爱丽丝 🐇')
  await seen(alice, '.nickname input').press('Enter')
  await alice.locator('.wx-toast', { hasText: '已保存' }).waitFor()
  await seen(alice, '.face').tap()
  await seen(alice, '.avatar--picture img').waitFor()
  await alice.waitForFunction(() => document.querySelector('.avatar--picture img').naturalWidth > 0)

  const me = await server.request('GET', '/v1/me', { as: 'alice' })
  assert.equal(me.nickname, '爱丽丝 🐇')
  assert.match(me.avatar, /^\/v1\/avatars\/[0-9a-f]{64}$/)

  const { page: bob } = await openPhone(t, shared, server, 'bob', DARK)
  await conversation(bob, '爱丽丝 🐇').locator('.avatar--picture img').waitFor()
  await openChat(bob, '爱丽丝 🐇')
  await title(bob, '爱丽丝 🐇')
  await bubble(bob, 'who am I?').waitFor()
})

test('an invitation opens a chat with who sent it', async (t) => {
  const server = await Server.start(t)
  const { page: alice } = await openPhone(t, shared, server, 'alice')
  await online(alice)
  await seen(alice, '.invite').tap()
  const { path } = await alice.evaluate(() => host.shared)
  const { page: bob } = await openPhone(t, shared, server, 'bob', { path })
  await title(bob, 'alice')
})

test('signing out clears this phone, and one may come back', async (t) => {
  const server = await Server.start(t)
  await write(shared, server, 'bob', 'alice', ['hello'])
  const { page } = await openPhone(t, shared, server, 'alice', DARK)
  await conversation(page, 'bob').waitFor()
  await tab(page, 'Me')
  await seen(page, '.centre').tap()
  await page.locator('.wx-modal .confirm').tap()
  await seen(page, '.notice--text').filter({ hasText: 'Signed out' }).waitFor()
  await tab(page, 'Chats')
  assert.equal(await conversation(page, 'bob').count(), 0)
  assert.equal(await page.locator('.wx-tab-badge').first().textContent(), '')
  await seen(page, '.notice--action').filter({ hasText: 'Sign in' }).tap()
  await conversation(page, 'bob').waitFor()
})
