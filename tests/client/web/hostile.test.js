'use strict'
/** People who write what no one should, and tabs that are copies. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { AWAY, DARK, LIGHT, Server, browser, bubble, fits, look, online, openChat, person, said, say, signedIn, write } = require('./harness')

const shared = browser()

/** What is written, and where it differs from that, what is seen. */
const TEXTS = [
  '<script>alert(1)</script><img src=x onerror=alert(2)>', 'x'.repeat(8192), '👩‍👩‍👧‍👦'.repeat(100), `Z${'\u0300'.repeat(500)}`, `https://a${')'.repeat(8000)}a`,
  `${'\n'.repeat(300)}end`, '\u202egnp.exe', '\u2067unclosed', '\u200b\u200d\ufeff', ' ', '﷽'.repeat(100), 'مرحبا hello', 'last',
]
const NAMES = ['<img src=x onerror=alert(1)>', 'W'.repeat(32), '﷽'.repeat(32), `Z${'\u0300'.repeat(31)}`, '👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦', '\u200fabc', 'مرحبا']

test('whatever people write and call themselves is text, and has its place', async t => {
  const server = await Server.start(t, '--set', 'limits.messages_per_second=0', '--set', 'limits.http_per_second=0')
  for (const [i, nickname] of NAMES.entries()) {
    await server.request('PUT', '/v1/me', { as: `name${i}`, body: { nickname } })
    await write(shared, server, `name${i}`, 'alice', ['hi'])
  }
  await write(shared, server, 'z'.repeat(64), 'alice', ['hi'])
  await write(shared, server, 'bob', 'alice', TEXTS)
  for (const [look_, options] of [['light', LIGHT], ['dark', DARK]]) {
    const { page } = await signedIn(t, shared, server, 'alice', options)
    const dialogs = []
    page.on('dialog', dialog => {
      dialogs.push(dialog.message())
      return dialog.dismiss()
    })
    await page.locator('#conversations .name', { hasText: NAMES[0] }).waitFor()
    await page.click('#conversations a[data-peer=bob]')
    await bubble(page, 'last').waitFor()
    await bubble(page, '<script>').waitFor()
    assert.deepEqual(await said(page), TEXTS)
    for (const width of [1100, 320]) {
      await page.setViewportSize({ width, height: 600 })
      await page.evaluate(() => { location.hash = 'bob' })
      await bubble(page, 'last').waitFor()
      await fits(page)
      await look(page, `hostile-room-${look_}-${width}`)
      for (const i of NAMES.keys()) {
        await page.evaluate(i => { location.hash = `name${i}` }, i)
        await page.locator('#room h2', { hasText: NAMES[i] }).waitFor()
        await fits(page)
      }
      await page.evaluate(() => { location.hash = '' })
      await page.locator('#conversations').waitFor()
      await fits(page)
      await look(page, `hostile-list-${look_}-${width}`)
    }
    // Every face shows something, and names begin where texts do.
    const faces = await page.locator('#conversations .avatar').allTextContents()
    assert.deepEqual(faces.filter(letter => !/[\p{L}\p{S}]/u.test(letter)), [])
    const lefts = await page.locator('#conversations .name').evaluateAll(names => names.map(name => {
      const range = document.createRange()
      range.selectNodeContents(name)
      return Math.round(range.getBoundingClientRect().left - name.getBoundingClientRect().left)
    }))
    assert.ok(lefts.every(left => left < 4), lefts.join())
    assert.deepEqual(dialogs, [])
  }
})

test('a part of the address that is nobody opens nothing, and the server’s own words are nobody', async t => {
  const server = await Server.start(t)
  const { page } = await signedIn(t, shared, server, 'alice', DARK)
  for (const [hashes, view] of [[['<script>', 'healthz', 'v1', 'admin', 'system', 'a/b', '%00', 'x'.repeat(65)], 'list'], [['x'.repeat(64), '__proto__', 'constructor'], 'room']]) {
    for (const hash of hashes) {
      await page.evaluate(hash => { location.hash = hash }, hash)
      await page.locator(`#app[data-view=${view}]`).waitFor()
    }
  }
  await say(page, 'to a constructor')
  await page.locator('[data-state=sent]').waitFor()
  await page.click('#new-chat')
  await page.fill('#new-chat-openid', 'metrics')
  await page.keyboard.press('Enter')
  await page.getByText('A name has 1 to 64').waitFor()
  const { page: other } = await person(t, shared, server, DARK)
  await other.fill('#credential', 'assets')
  await other.keyboard.press('Enter')
  await other.getByText('A name has 1 to 64').waitFor()
})

test('a tab that is closed with unsent messages asks first; a copy of it sends none of them twice, and the two do not fight', async t => {
  const server = await Server.start(t)
  const alice = await signedIn(t, shared, server, 'alice', DARK)
  const { page, context } = alice
  await openChat(page, 'bob')
  await say(page, 'sent')
  await page.locator('[data-state=sent]').waitFor()
  alice.expected = AWAY
  await server.kill('SIGINT')
  await say(page, 'unsent')
  const asked = page.waitForEvent('dialog')
  await page.close({ runBeforeUnload: true })
  const dialog = await asked
  assert.equal(dialog.type(), 'beforeunload')
  await dialog.dismiss()
  // A browser that doubles a tab doubles its storage, the unsent message in it.
  const items = await page.evaluate(() => ({ ...sessionStorage }))
  const copy = await context.newPage()
  await copy.addInitScript(items => { if (!sessionStorage.length) Object.assign(sessionStorage, items) }, items)
  await server.restart()
  await copy.goto(`${server.url}/#bob`)
  await bubble(copy, 'unsent').waitFor()
  const refused = tab => tab.locator('body[data-state=refused]').waitFor()
  const first = await Promise.race([page, copy].map(tab => refused(tab).then(() => tab)))
  for (const [loser, winner] of [[first, first === page ? copy : page], [first === page ? copy : page, first]]) {
    await refused(loser)
    await loser.getByText('This account is in use in another window').waitFor()
    // Whoever looks at it does not start it again.
    for (const type of ['online', 'visibilitychange']) await loser.evaluate(type => window.dispatchEvent(new Event(type)), type)
    await loser.getByRole('button', { name: 'Use it here' }).click()
    await online(loser)
    await winner.getByText('This account is in use in another window').waitFor()
  }
  const { messages } = await server.request('GET', '/v1/messages?peer=bob', { as: 'alice' })
  assert.deepEqual(messages.map(({ message }) => message), ['sent', 'unsent'])
})

test('the server is stopped and started: the page says so, and goes on', async t => {
  const server = await Server.start(t)
  const alice = await signedIn(t, shared, server, 'alice', DARK)
  alice.expected = AWAY
  await openChat(alice.page, 'bob')
  await server.kill('SIGINT')
  await alice.page.getByText('Offline, retrying…').first().waitFor()
  await say(alice.page, 'meanwhile')
  await server.restart()
  await online(alice.page)
  await alice.page.locator('[data-state=sent]').waitFor()
  assert.deepEqual(await said(alice.page), ['meanwhile'])
})
