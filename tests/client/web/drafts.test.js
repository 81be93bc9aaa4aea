'use strict'
/** What was begun and not sent, and what was sent and is still waiting. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { AWAY, DARK, LIGHT, PHONE, Server, browser, bubble, fits, look, online, openChat, said, say, signedIn, write } = require('./harness')

const shared = browser()
const row = (page, peer) => page.locator(`#conversations a[data-peer=${peer}]`)
const field = '#composer textarea'
const toList = page => page.evaluate(() => { location.hash = '' })

test('a draft is kept for each chat, stands in the list, outlives a reload and goes with the user', async t => {
  const server = await Server.start(t)
  await write(shared, server, 'bob', 'alice', ['hello'])
  const { page: alice, context } = await signedIn(t, shared, server, 'alice', LIGHT)
  await row(alice, 'bob').click()
  await bubble(alice, 'hello').waitFor()
  assert.equal(await alice.getAttribute(field, 'placeholder'), '发消息')
  await alice.fill(field, '  明天见，<b>带上</b>相机 \n')
  // The chat in which it is written shows it in its field alone.
  assert.equal(await alice.locator('.draft').count(), 0)
  await openChat(alice, 'carol')
  assert.equal(await alice.inputValue(field), '')
  await alice.fill(field, '还没有发出的第一句')
  await toList(alice)
  const drafts = async () => ({ bob: await row(alice, 'bob').locator('.words').textContent(), carol: await row(alice, 'carol').locator('.words').textContent() })
  const both = { bob: '[草稿] 明天见，<b>带上</b>相机', carol: '[草稿] 还没有发出的第一句' }
  assert.deepEqual(await drafts(), both)
  await look(alice, 'drafts-light')

  await alice.reload()
  await online(alice)
  await row(alice, 'bob').waitFor()
  assert.deepEqual(await drafts(), both)
  // The tab keeps it, and nothing else does.
  assert.deepEqual(await alice.evaluate(() => Object.keys(localStorage)), [])
  const other = await context.newPage()
  await other.goto(server.url)
  await other.fill('#credential', 'alice')
  await other.keyboard.press('Enter')
  await online(other)
  assert.equal(await other.locator('.draft').count(), 0)
  await other.close()

  await row(alice, 'bob').click()
  assert.equal(await alice.inputValue(field), '  明天见，<b>带上</b>相机 \n')
  await alice.press(field, 'End')
  await alice.press(field, 'Enter')
  await bubble(alice, '相机').waitFor()
  // What goes out has no spaces around it.
  assert.deepEqual((await server.request('GET', '/v1/messages?peer=bob', { as: 'alice' })).messages.map(({ message }) => message), ['hello', '明天见，<b>带上</b>相机'])
  await toList(alice)
  await row(alice, 'bob').getByText('明天见').waitFor()
  assert.equal(await row(alice, 'bob').locator('.draft').count(), 0)
  // Nothing but white space is no draft, and sends nothing.
  await row(alice, 'bob').click()
  await alice.fill(field, ' \n ')
  await alice.press(field, 'Enter')
  assert.equal(await alice.locator('#composer .primary').isDisabled(), true)
  await toList(alice)
  assert.equal(await row(alice, 'bob').locator('.draft').count(), 0)

  // A chat that is deleted takes its draft along, and so does somebody who signs out.
  await row(alice, 'bob').click()
  await alice.fill(field, '算了')
  await alice.click('#more')
  await alice.getByRole('menuitem', { name: '删除该聊天' }).click()
  await alice.getByRole('dialog').getByRole('button', { name: '删除' }).click()
  await row(alice, 'bob').waitFor({ state: 'detached' })
  await openChat(alice, 'bob')
  assert.equal(await alice.inputValue(field), '')
  // One in which nothing was ever said can be deleted too.
  await row(alice, 'carol').click({ button: 'right' })
  await alice.getByRole('menuitem', { name: '删除该聊天' }).click()
  await alice.getByRole('dialog').getByRole('button', { name: '删除' }).click()
  await row(alice, 'carol').waitFor({ state: 'detached' })
  await alice.click('#me')
  await alice.click('#sign-out')
  await alice.getByRole('dialog').getByRole('button', { name: '退出登录' }).click()
  await alice.locator('#credential').waitFor()
  assert.deepEqual(await alice.evaluate(() => [...Object.keys(sessionStorage), ...Object.keys(localStorage)]), [])
})

test('a draft is there for whoever must sign in again, and for nobody else', async t => {
  const server = await Server.start(t)
  const alice = await signedIn(t, shared, server, 'alice', DARK)
  const { page } = alice
  await openChat(page, 'bob')
  await page.fill(field, 'begun by alice')
  // A token that has run out brings the sign-in, with a reason.
  await page.evaluate(() => {
    sessionStorage.removeItem('hongyan.credential')
    sessionStorage.setItem('hongyan.reason', 'error_unauthorized')
  })
  await page.goto('about:blank')
  await page.goto(server.url)
  for (const [name, count] of [['carol', 0], ['alice', 1]]) {
    await page.fill('#credential', name)
    await page.keyboard.press('Enter')
    await online(page)
    await page.evaluate(() => { location.hash = '' })
    await page.waitForFunction(count => document.querySelectorAll('.draft').length === count, count)
    await page.evaluate(() => {
      sessionStorage.removeItem('hongyan.credential')
      sessionStorage.setItem('hongyan.reason', 'error_unauthorized')
    })
    await page.goto('about:blank')
    await page.goto(server.url)
  }
})

test('a draft too long for the storage is said to be, and stays in the page; what stands there and is none does no harm', async t => {
  const server = await Server.start(t)
  const { page } = await signedIn(t, shared, server, 'alice', DARK)
  await openChat(page, 'bob')
  await page.fill(field, 'short')
  const long = 'x'.repeat(300_000)
  await page.fill(field, long)
  await page.getByText('this draft is lost when the page is reloaded').waitFor()
  await openChat(page, 'carol')
  await page.evaluate(() => { location.hash = '#bob' })
  await page.waitForFunction(length => document.querySelector('#composer textarea').value.length === length, long.length)
  for (const stored of ['', '{', 'null', '"x"', '{"a":1}', '[null,1,{"peer":1,"text":"x","at":1},{"peer":"bob","text":"kept","at":1}]']) {
    await page.evaluate(stored => sessionStorage.setItem('hongyan.alice.drafts', stored), stored)
    await page.reload()
    await online(page)
    assert.equal(await page.inputValue(field), stored.includes('kept') ? 'kept' : '')
  }
})

test('a message that waits can be taken back before it is sent', async t => {
  const server = await Server.start(t)
  const alice = await signedIn(t, shared, server, 'alice', LIGHT)
  const { page } = alice
  alice.expected = AWAY
  await openChat(page, 'bob')
  await say(page, 'before')
  await page.locator('[data-state=sent]').waitFor()
  await server.kill()
  await page.locator('body[data-state=waiting]').waitFor()
  for (const words of ['sent after all', 'taken back']) await say(page, words)
  await bubble(page, 'taken back').click({ button: 'right' })
  assert.deepEqual(await page.getByRole('menuitem').allTextContents(), ['复制', '选择', '取消发送', '多选'])
  await look(page, 'cancel-light')
  await page.getByRole('menuitem', { name: '取消发送' }).click()
  await bubble(page, 'taken back').waitFor({ state: 'detached' })
  await server.restart()
  await online(page)
  await page.waitForFunction(() => !document.querySelector('[data-state=sending]'))
  assert.deepEqual(await said(page), ['before', 'sent after all'])
  assert.deepEqual((await server.request('GET', '/v1/messages?peer=bob', { as: 'alice' })).messages.map(({ message }) => message), ['before', 'sent after all'])

  // What went out while the menu was open stays, and the page says so.
  await server.kill()
  await page.locator('body[data-state=waiting]').waitFor()
  await say(page, 'too late')
  await bubble(page, 'too late').click({ button: 'right' })
  await server.restart()
  await online(page)
  await page.waitForFunction(() => !document.querySelector('[data-state=sending]'))
  await page.getByRole('menuitem', { name: '取消发送' }).click()
  await page.getByText('消息已经发出').waitFor()
  assert.deepEqual(await said(page), ['before', 'sent after all', 'too late'])
})

test('the line of the connection ends before the button beside it, and a preview goes as far as its row', async t => {
  const server = await Server.start(t)
  await server.request('PUT', '/v1/me', { as: 'bob', body: { nickname: 'A name longer than a row is wide' } })
  await write(shared, server, 'bob', 'alice', ['A preview that is longer than the row in which it stands is wide, in every window there is'])
  for (const options of [LIGHT, DARK]) {
    const alice = await signedIn(t, shared, server, 'alice', options)
    const { page } = alice
    alice.expected = AWAY
    await row(page, 'bob').locator('.name', { hasText: 'A name' }).waitFor()
    await page.context().setOffline(true)
    await page.locator('body[data-state=waiting] #side .link:not(:empty)').waitFor()
    for (const width of [320, 360, 430, 720, 800, 1100, 1600]) {
      await page.setViewportSize({ width, height: 640 })
      const { link, title, button, preview, time, name } = await page.evaluate(() => {
        const textOf = element => {
          const range = document.createRange()
          range.selectNodeContents(element)
          return range.getBoundingClientRect()
        }
        const find = selector => document.querySelector(selector)
        const box = rect => ({ left: rect.left, right: rect.right })
        return {
          link: box(textOf(find('#side .link'))), title: box(find('#side h1').getBoundingClientRect()), button: box(find('#new-chat').getBoundingClientRect()),
          preview: box(find('#conversations .words').getBoundingClientRect()), time: box(find('#conversations .time').getBoundingClientRect()), name: box(find('#conversations .name').getBoundingClientRect()),
        }
      })
      assert.ok(link.right <= Math.min(title.right, button.left) + 0.5, `${width}: the line ends at ${link.right}, the button begins at ${button.left}`)
      assert.ok(Math.abs(preview.right - time.right) < 1, `${width}: the preview ends at ${preview.right}, the row at ${time.right}`)
      assert.ok(name.right <= time.left, `${width}: the name ends at ${name.right}, the time begins at ${time.left}`)
      await fits(page)
      if (width === 720) await look(page, `offline-${options.colorScheme}-720`)
    }
    await page.setViewportSize(PHONE.viewport)
    await look(page, `offline-${options.colorScheme}`)
  }
})

test('what the tab has kept and is no draft is left out, and the page works', async t => {
  const server = await Server.start(t)
  const { page } = await signedIn(t, shared, server, 'alice', LIGHT)
  const kept = [{ peer: 'user.1', text: 'x', at: 1 }, { peer: 'v1', text: 'x', at: 1 }, { peer: 'bob', text: '好的', at: 1 }, { peer: ['bob'], text: 'x', at: 1 }, null]
  await page.evaluate(drafts => sessionStorage.setItem('hongyan.alice.drafts', JSON.stringify(drafts)), kept)
  await page.reload()
  await online(page)
  await row(page, 'bob').locator('.draft').waitFor()
  assert.equal(await page.locator('#conversations a').count(), 1)
  await openChat(page, 'bob')
  assert.equal(await page.inputValue(field), '好的')
})
