'use strict'
/** A chat with many new messages, and a window that changes while it is read. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { AWAY, DARK, LIGHT, PHONE, Server, browser, bubble, fits, look, online, openChat, say, signedIn, write } = require('./harness')

const shared = browser()
const NO_LIMITS = ['limits.messages_per_second', 'limits.http_per_second'].flatMap(name => ['--set', `${name}=0`])
const texts = (from, to) => Array.from({ length: to - from }, (_, i) => `message ${from + i}. ${'A line of some length. '.repeat((from + i) % 9)}`)
const row = (page, peer) => page.locator(`#conversations a[data-peer=${peer}]`)
const atEnd = page => page.waitForFunction(() => { const log = document.querySelector('#log'); return log.scrollHeight - log.scrollTop - log.clientHeight < 2 })

/** What stands under the line, and how far below the top of the messages the line is. */
const firstNew = page => page.evaluate(() => {
  const line = document.querySelector('.new-below')
  return line && [line.closest('.row').querySelector('.bubble').lastChild.textContent.split('.')[0], line.getBoundingClientRect().top - document.querySelector('#log').getBoundingClientRect().top]
})

/** Hides the page as another tab over it would, or shows it again. */
const setHidden = (page, isHidden) => page.evaluate(isHidden => {
  Object.defineProperties(document, { hidden: { configurable: true, value: isHidden }, visibilityState: { configurable: true, value: isHidden ? 'hidden' : 'visible' } })
  document.dispatchEvent(new Event('visibilitychange', { bubbles: true }))
}, isHidden)

for (const [name, options, words, line] of [['light', { ...LIGHT, ...PHONE }, '↑ 90 条新消息', '以下为新消息'], ['dark', DARK, '↑ 90 new messages', 'New messages']]) {
  test(`90 unread messages: a button leads to the first of them, under a line, ${name}`, async t => {
    const server = await Server.start(t, ...NO_LIMITS)
    await write(shared, server, 'alice', 'bob', texts(0, 40))
    await write(shared, server, 'bob', 'alice', ['an answer'])
    await write(shared, server, 'alice', 'bob', texts(40, 130))
    const { page: bob } = await signedIn(t, shared, server, 'bob', options)
    await row(bob, 'alice').click()
    await bubble(bob, 'message 129.').waitFor()
    await atEnd(bob)
    const button = bob.getByRole('button', { name: words })
    await button.waitFor()
    assert.equal(await firstNew(bob), null, 'the first one is not here yet')
    await look(bob, `unread-button-${name}`)
    await button.click()
    await bob.locator('.new-below', { hasText: line }).waitFor()
    await bob.waitForFunction(() => document.activeElement.querySelector('.new-below'))
    const [first, top] = await firstNew(bob)
    assert.equal(first, 'message 40')
    assert.ok(top >= 0 && top < 40, `the line is ${top} px below the top`)
    assert.equal(await button.isVisible(), false)
    await fits(bob)
    await look(bob, `unread-line-${name}`)
    // From here on it is a chat like any other: down to the end by the button, and what comes is shown.
    await bob.getByRole('button', { name: name === 'dark' ? 'To the newest message' : '回到最新消息' }).click()
    await atEnd(bob)
    await write(shared, server, 'alice', 'bob', ['news'])
    await bubble(bob, 'news').waitFor()
    await atEnd(bob)
    await say(bob, 'mine')
    await bubble(bob, 'mine').waitFor()
    assert.equal(await button.isVisible(), false)
    // Whoever comes again has read it all.
    await bob.evaluate(() => { location.hash = '' })
    await row(bob, 'alice').click()
    await bubble(bob, 'mine').waitFor()
    assert.equal(await bob.locator('.new-below').count(), 0)
    assert.equal(await bob.locator('#first-new').isVisible(), false)
  })
}

test('new messages that are all in sight have a line and no button; a first message has neither', async t => {
  const server = await Server.start(t, ...NO_LIMITS)
  await write(shared, server, 'alice', 'bob', ['one', 'two'])
  const { page: bob } = await signedIn(t, shared, server, 'bob', DARK)
  await row(bob, 'alice').click()
  await bubble(bob, 'one').waitFor()
  assert.equal(await bob.locator('.new-below').count(), 0)
  await say(bob, 'hello')
  await bob.evaluate(() => { location.hash = '' })
  await write(shared, server, 'alice', 'bob', ['three.', 'four.'])
  await row(bob, 'alice').getByText('2 unread').waitFor()
  await row(bob, 'alice').click()
  await bob.locator('.new-below').waitFor()
  assert.equal((await firstNew(bob))[0], 'three')
  assert.equal(await bob.locator('#first-new').isVisible(), false)
})

test('what came while the tab was loaded anew, hidden, or without a server stands under a line', async t => {
  const server = await Server.start(t, ...NO_LIMITS)
  await write(shared, server, 'alice', 'bob', texts(0, 30))
  const bob = await signedIn(t, shared, server, 'bob', LIGHT)
  const { page } = bob
  bob.expected = AWAY
  await row(page, 'alice').click()
  await bubble(page, 'message 29.').waitFor()
  await page.waitForFunction(() => document.title === '鸿雁')

  await page.goto('about:blank')
  await write(shared, server, 'alice', 'bob', texts(30, 60))
  await page.goto(`${server.url}/#alice`)
  await online(page)
  await page.getByRole('button', { name: '↑ 30 条新消息' }).click()
  await page.locator('.new-below').waitFor()
  assert.equal((await firstNew(page))[0], 'message 30')

  await page.click('#newer')
  await setHidden(page, true)
  await write(shared, server, 'alice', 'bob', texts(60, 80))
  await page.waitForFunction(() => document.title === '(20) 鸿雁')
  await setHidden(page, false)
  await page.getByRole('button', { name: '↑ 20 条新消息' }).click()
  await page.waitForFunction(() => document.activeElement.querySelector('.new-below'))
  assert.equal((await firstNew(page))[0], 'message 60')

  await page.click('#newer')
  await page.context().setOffline(true)
  await page.locator('body[data-state=waiting]').waitFor()
  await write(shared, server, 'alice', 'bob', texts(80, 100))
  await page.context().setOffline(false)
  await online(page)
  await page.getByRole('button', { name: '↑ 20 条新消息' }).click()
  await page.waitForFunction(() => document.activeElement.querySelector('.new-below'))
  assert.equal((await firstNew(page))[0], 'message 80')

  // Nor is it lost where the tab knows nothing of the chat that it opens. The server knows what was read a moment after it was.
  for (let unread = 1; unread;) unread = (await server.request('GET', '/v1/unread', { as: 'bob' })).total
  await page.goto('about:blank')
  await write(shared, server, 'alice', 'bob', texts(100, 130))
  const tab = await bob.context.newPage()
  await tab.goto(`${server.url}/healthz`)
  await tab.evaluate(() => sessionStorage.setItem('hongyan.credential', 'bob'))
  await tab.goto(`${server.url}/#alice`)
  await tab.getByRole('button', { name: '↑ 30 条新消息' }).click()
  await tab.waitForFunction(() => document.activeElement.querySelector('.new-below'))
  assert.equal((await firstNew(tab))[0], 'message 100')
})

test('history that cannot be fetched on the way to the first new message leaves the button', async t => {
  const server = await Server.start(t, ...NO_LIMITS)
  await write(shared, server, 'alice', 'bob', texts(0, 130))
  const bob = await signedIn(t, shared, server, 'bob', DARK)
  const { page } = bob
  bob.expected = AWAY
  await row(page, 'alice').click()
  const button = page.getByRole('button', { name: '↑ 130 new messages' })
  await button.waitFor()
  await bubble(page, 'message 100.').waitFor()
  await page.route('**/v1/messages?*', route => route.abort())
  await button.click()
  await page.locator('#toast', { hasText: 'No network' }).waitFor()
  await page.unroute('**/v1/messages?*')
  await button.click()
  await bubble(page, 'message 0.').waitFor()
})

test('a window of another size stays at the end, and where somebody reads it stays there', async t => {
  const server = await Server.start(t, ...NO_LIMITS)
  await write(shared, server, 'alice', 'bob', texts(0, 150))
  const { page: bob } = await signedIn(t, shared, server, 'bob', { ...LIGHT, ...PHONE })
  await row(bob, 'alice').click()
  await bubble(bob, 'message 149.').waitFor()
  await atEnd(bob)
  await bob.fill('#composer textarea', 'a draft that takes one line in a wide window and several in a narrow one, as on a phone')
  // A phone is folded and unfolded, turned, and shows its keyboard; a window is dragged.
  const sizes = [[884, 1104], [344, 882], [882, 344], [344, 400], [320, 568], [1600, 900], [719, 500], [720, 500], [360, 640]]
  for (const [width, height] of sizes) {
    await bob.setViewportSize({ width, height })
    await atEnd(bob)
    await bob.waitForFunction(() => { const field = document.querySelector('#composer textarea'); return field.scrollHeight <= field.clientHeight || field.offsetHeight >= Math.floor(Math.min(200, innerHeight * 0.3)) })
    await fits(bob)
  }
  await bob.evaluate(async sizes => {
    // One after the other, as fast as frames come.
    const app = document.querySelector('#app')
    for (const [width, height] of sizes) {
      Object.assign(app.style, { width: `${width}px`, height: `${height}px` })
      await new Promise(requestAnimationFrame)
    }
    app.removeAttribute('style')
  }, sizes)
  await atEnd(bob)
  // Letters become larger, without a new window.
  await bob.evaluate(() => { document.querySelector('#messages').style.fontSize = '22px' })
  await atEnd(bob)
  await bob.evaluate(() => { document.querySelector('#messages').style.fontSize = '' })
  await atEnd(bob)

  // The page learns of a size in the next frame; what scrolls before may have been the browser.
  await bob.evaluate(() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))))
  await bob.evaluate(async () => {
    const log = document.querySelector('#log')
    // And of a scrolling by its event, which comes in a later frame than a window of another size may.
    const told = new Promise(done => log.addEventListener('scroll', done, { once: true }))
    log.scrollTop -= 4000
    await told
  })
  await bob.waitForFunction(() => { const log = document.querySelector('#log'); return log.scrollHeight - log.scrollTop - log.clientHeight > 2000 })
  const middle = () => bob.evaluate(() => {
    const log = document.querySelector('#log').getBoundingClientRect()
    const line = log.top + log.height / 2
    return [...document.querySelectorAll('.row')].find(row => row.getBoundingClientRect().bottom >= line).textContent
  })
  const before = await middle()
  for (const [width, height] of [[884, 640], [344, 640], [360, 640]]) {
    await bob.setViewportSize({ width, height })
    await bob.waitForFunction(words => {
      const log = document.querySelector('#log').getBoundingClientRect()
      const row = [...document.querySelectorAll('.row')].find(row => row.textContent === words)
      const { top, bottom } = row.getBoundingClientRect()
      return top < log.bottom && bottom > log.top
    }, before)
  }

  // A phone that is turned while it scrolls: the event of the scrolling finds a log of another size.
  const shown = await bob.evaluate(async () => {
    const app = document.querySelector('#app')
    const log = document.querySelector('#log')
    const frame = () => new Promise(requestAnimationFrame)
    const middle = () => {
      const { top, height } = log.getBoundingClientRect()
      return [...document.querySelectorAll('.row')].find(row => row.getBoundingClientRect().bottom >= top + height / 2)
    }
    const shown = []
    for (const width of ['884px', '344px', '360px']) {
      const row = middle()
      log.scrollTop -= 1
      app.style.width = width
      await frame()
      await frame()
      const { top, bottom } = log.getBoundingClientRect()
      const now = row.getBoundingClientRect()
      shown.push(now.top < bottom && now.bottom > top)
    }
    return shown
  })
  assert.deepEqual(shown, [true, true, true])
})
