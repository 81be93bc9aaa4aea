'use strict'
// Long conversations: nothing jumps, and nothing grows slow.
const assert = require('node:assert/strict')
const { test } = require('node:test')
const { DARK, Server, openPhone, studio } = require('./harness')
const { LIST, above, atEnd, bubble, message, said, say, scroll, scrollForMore, seen, write } = require('./people')

const shared = studio()
const room = (peer) => `/pages/chat/chat?peer=${peer}`
const numbered = (count) => Array.from({ length: count }, (_, index) => `message ${index + 1}${index % 7 ? '' : ' with more words, so that it takes two lines at least'}.`)
const NO_RATE = ['--set', 'limits.messages_per_second=0', '--set', 'limits.http_per_second=0']
const rows = (page) => seen(page, '.chat-room--row').count()

/** Where the bubble stands on the screen. */
const topOf = async (page, text) => Math.round((await bubble(page, text).boundingBox()).y)

test('older pages come above what is read, and nothing moves', async (t) => {
  const server = await Server.start(t, ...NO_RATE)
  await write(shared, server, 'bob', 'alice', numbered(150))
  const { page } = await openPhone(t, shared, server, 'alice', { path: room('bob') })
  await bubble(page, 'message 150.').waitFor()
  await atEnd(page)
  assert.ok(!(await said(page)).includes('message 50.'))

  // Near the top, as a finger goes; and at the very top, where a browser anchors nothing, by the height of a time at most.
  assert.ok(await scrollForMore(page, 300) <= 1)
  assert.ok(await scrollForMore(page, 0) <= 40)
  await scrollForMore(page, 0)
  assert.deepEqual(await said(page), numbered(150))
})

test('what comes while one reads further up is counted, and a tap goes there', async (t) => {
  const server = await Server.start(t)
  await write(shared, server, 'bob', 'alice', numbered(40))
  const { page } = await openPhone(t, shared, server, 'alice', { path: room('bob') })
  await bubble(page, 'message 40.').waitFor()
  await atEnd(page)
  await scroll(page, -500)
  await page.waitForFunction(() => !getCurrentPages()[0].data.follow)
  const before = await topOf(page, 'message 30.')
  await write(shared, server, 'bob', 'alice', ['new one', 'new two'])
  await seen(page, '.chat-room--latest').filter({ hasText: '2 条新消息' }).waitFor()
  assert.equal(await topOf(page, 'message 30.'), before)
  await seen(page, '.chat-room--latest').tap()
  await atEnd(page)
  await seen(page, '.chat-room--latest').waitFor({ state: 'detached' })

  // At the end again, the next one is scrolled to.
  await write(shared, server, 'bob', 'alice', ['new three'])
  await bubble(page, 'new three').waitFor()
  await atEnd(page)
})

test('to scroll down to the end by hand is as good as the tap', async (t) => {
  const server = await Server.start(t)
  await write(shared, server, 'bob', 'alice', numbered(30))
  const { page } = await openPhone(t, shared, server, 'alice', { ...DARK, path: room('bob') })
  await bubble(page, 'message 30.').waitFor()
  await atEnd(page)
  await scroll(page, -700)
  await page.waitForFunction(() => !getCurrentPages()[0].data.follow)
  await write(shared, server, 'bob', 'alice', ['new one'])
  await seen(page, '.chat-room--latest').filter({ hasText: '1 new' }).waitFor()
  await scroll(page, 5000)
  await seen(page, '.chat-room--latest').waitFor({ state: 'detached' })
  assert.ok(await above(page) < 2)
})

test('the keyboard covers nothing that is read', async (t) => {
  const server = await Server.start(t)
  await write(shared, server, 'bob', 'alice', numbered(30))
  const { page } = await openPhone(t, shared, server, 'alice', { path: room('bob') })
  await bubble(page, 'message 30.').waitFor()
  await page.evaluate(() => host.keyboard(291))
  await seen(page, '.chat-room--field textarea').tap()
  await atEnd(page)
  const last = await bubble(page, 'message 30.').boundingBox()
  const field = await seen(page, '.chat-room--composer').boundingBox()
  assert.ok(last.y + last.height <= field.y)
  assert.equal(Math.round(field.y + field.height), 667 - 291)
  // The button leaves it up, a tap on the messages does not.
  await seen(page, '.chat-room--field textarea').fill('with the keyboard')
  await seen(page, '.chat-room--send').tap()
  await bubble(page, 'with the keyboard').waitFor()
  assert.equal(await page.evaluate(() => document.activeElement.tagName), 'TEXTAREA')
  await bubble(page, 'message 30.').tap()
  await page.waitForFunction(() => document.activeElement.tagName === 'BODY')
  await atEnd(page)
})

test('a conversation of 5 000 messages is as quick as a short one', async (t) => {
  const server = await Server.start(t, ...NO_RATE)
  for (let part = 0; part < 5; part += 1) await write(shared, server, 'bob', 'alice', numbered(5000).slice(part * 1000, part * 1000 + 1000))
  const { page } = await openPhone(t, shared, server, 'alice', { path: room('bob') })
  await bubble(page, 'message 5000.').waitFor()

  // All of them at hand, as after long reading.
  await page.evaluate(async () => {
    const { chat } = getApp()
    while (chat.hasOlder('bob')) await chat.loadOlder('bob')
  })
  assert.equal(await page.evaluate(() => getApp().chat.messages('bob').length), 5000)
  await atEnd(page)

  // One more: until it stands in the page, laid out.
  const times = await page.evaluate(async () => {
    const measured = []
    for (let count = 0; count < 20; count += 1) {
      const top = getCurrentPages()[0]
      getApp().chat.send('bob', `append ${count}`)
      const start = performance.now()
      top.render()
      document.querySelector('.chat-room--list').getBoundingClientRect()
      measured.push(performance.now() - start)
      await new Promise((resolve) => { setTimeout(resolve, 50) })
    }
    return measured.sort((one, other) => one - other)
  })
  console.log(`figure: append to 5 000 messages: median ${times[10].toFixed(1)} ms, worst ${times[19].toFixed(1)} ms`)
  assert.ok(times[10] <= 16, `${times[10]} ms`)

  // Up through a thousand of them: the page holds a few hundred rows at most.
  let most = 0
  for (let step = 0; step < 25; step += 1) {
    assert.ok(await scrollForMore(page, 100) <= 1, `step ${step}`)
    most = Math.max(most, await rows(page))
  }
  assert.ok(most <= 240, `${most} rows`)
  assert.ok(await page.evaluate(() => host.settings.setData.largest) < 100_000)
  // And down again by hand.
  for (let step = 0; step < 3; step += 1) assert.ok(await scrollForMore(page, -300) <= 1)

  await seen(page, '.chat-room--latest').tap()
  await atEnd(page)
  await bubble(page, 'append 19').waitFor()
  await say(page, 'the end')
  await message(page, 'the end').locator('.chat-room--sending').waitFor({ state: 'detached' })
})
