'use strict'
/** What goes wrong, and what the page says of it. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { AWAY, DARK, LIGHT, PHONE, Server, browser, bubble, look, online, openChat, person, said, say, signedIn, write } = require('./harness')

const shared = browser()

test('the server is killed and started again in the middle: nothing is lost or doubled', async t => {
  const server = await Server.start(t, '--set', 'limits.messages_per_second=0')
  const [alice, bob] = [await signedIn(t, shared, server, 'alice', LIGHT), await signedIn(t, shared, server, 'bob', DARK)]
  alice.expected = bob.expected = AWAY
  await openChat(alice.page, 'bob')
  await openChat(bob.page, 'alice')
  const sent = []
  const talk = async (who, name, from, to) => {
    for (let i = from; i < to; i++) {
      sent.push(`${name} ${i}`)
      await say(who.page, `${name} ${i}`)
    }
  }
  const both = (from, to) => Promise.all([talk(alice, 'alice', from, to), talk(bob, 'bob', from, to)])
  await both(0, 10)
  for (let round = 1; round <= 2; round++) {
    const talking = both(round * 10, round * 10 + 5)
    await server.kill()
    await talking
    await both(round * 10 + 5, round * 10 + 10)
    await alice.page.locator('body[data-state=waiting], body[data-state=connecting]').waitFor()
    if (round === 1) {
      await alice.page.locator('.spinner').last().waitFor()
      await look(alice.page, 'server-away-light')
      await bob.page.setViewportSize(PHONE.viewport)
      await look(bob.page, 'server-away-dark')
    }
    await server.restart()
    await online(alice.page)
    await online(bob.page)
  }
  for (const { page } of [alice, bob]) {
    await page.waitForFunction(count => document.querySelectorAll('.bubble').length >= count && !document.querySelector('[data-state=sending]'), sent.length)
  }
  const seen = await said(alice.page)
  assert.deepEqual(await said(bob.page), seen)
  assert.deepEqual([...seen].sort(), [...sent].sort())
  const inOrder = name => seen.filter(words => words.startsWith(name))
  for (const name of ['alice', 'bob']) assert.deepEqual(inOrder(name), sent.filter(words => words.startsWith(name)))
})

test('a message that is refused says why, and can be sent again or removed', async t => {
  const server = await Server.start(t)
  const { page: alice } = await signedIn(t, shared, server, 'alice', LIGHT)
  const block = method => server.request(method, '/v1/blocks/alice', { as: 'bob' })
  await block('PUT')
  await openChat(alice, 'bob')
  await say(alice, 'first')
  await alice.getByText('对方拒收了你的消息').waitFor()
  await alice.locator('#conversations .failed').waitFor()
  await look(alice, 'failed-light')
  await alice.emulateMedia({ colorScheme: 'dark' })
  await look(alice, 'failed-dark')
  await block('DELETE')
  // It asks first, and says once more why.
  const again = alice.getByRole('button', { name: '重发' })
  await again.click()
  const question = alice.getByRole('dialog', { name: '重发该消息？' })
  await question.getByText('对方拒收了你的消息').waitFor()
  await look(alice, 'resend-dark')
  await question.getByRole('button', { name: '取消' }).click()
  await question.waitFor({ state: 'hidden' })
  assert.equal(await alice.locator('[data-state=failed]').count(), 1)
  await again.click()
  await question.getByRole('button', { name: '重发' }).click()
  await alice.getByText('已发送').waitFor()
  assert.equal(await alice.locator('.failed').count(), 0)

  await block('PUT')
  await say(alice, 'second')
  await alice.locator('#messages').getByText('对方拒收了你的消息').waitFor()
  await bubble(alice, 'second').click({ button: 'right' })
  await alice.getByRole('menuitem', { name: '删除' }).click()
  await bubble(alice, 'second').waitFor({ state: 'detached' })
  assert.deepEqual(await said(alice), ['first'])

  // Too long: it stays where it was written.
  const long = '长'.repeat(3000)
  await say(alice, long)
  await alice.getByText('内容太长').waitFor()
  assert.equal(await alice.inputValue('#composer textarea'), long)
  await look(alice, 'too-long-dark')
})

test('what cannot be fetched can be fetched again', async t => {
  const server = await Server.start(t)
  await write(shared, server, 'alice', 'bob', ['one', 'two', 'three'])
  const bob = await signedIn(t, shared, server, 'bob', DARK)
  const { page } = bob
  bob.expected = AWAY
  await page.route('**/v1/messages?*', route => route.abort())
  await page.click('#conversations a[data-peer=alice]')
  const again = page.getByRole('button', { name: 'Not loaded. Try again' })
  await again.waitFor()
  assert.deepEqual(await said(page), ['three'])
  await look(page, 'not-loaded-dark')
  await page.unroute('**/v1/messages?*')
  await again.click()
  await bubble(page, 'one').waitFor()
  assert.deepEqual(await said(page), ['one', 'two', 'three'])
  assert.equal(await again.isVisible(), false)

  await page.route('**/assets/config.json', route => route.abort())
  await page.reload()
  await page.getByText('The server cannot be reached').waitFor()
  await look(page, 'no-server-dark')
})

test('who is sent away is told why, and what to do', async t => {
  const server = await Server.start(t)
  const alice = await signedIn(t, shared, server, 'alice', { ...LIGHT, ...PHONE })
  await openChat(alice.page, 'bob')
  server.command('kick', 'alice')
  await alice.page.getByText('你已被管理者断开连接').waitFor()
  await look(alice.page, 'kicked-light')
  await alice.page.getByRole('button', { name: '重新连接' }).click()
  await online(alice.page)

  // A doubled tab is the same device.
  const [second] = await Promise.all([alice.context.waitForEvent('page'), alice.page.evaluate(() => { open(location.href) })])
  await online(second)
  await alice.page.getByText('此账号已在另一个窗口中使用').waitFor()
  await alice.page.getByRole('button', { name: '在此使用' }).click()
  await online(alice.page)
  await second.getByText('此账号已在另一个窗口中使用').waitFor()
  await second.close()

  const bob = await signedIn(t, shared, server, 'bob', DARK)
  bob.expected = / 40[13] /
  server.command('ban', 'bob')
  await bob.page.getByText('This account is closed').waitFor()
  await look(bob.page, 'banned-dark')
  await bob.page.getByRole('button', { name: 'Sign in again' }).click()
  await bob.page.fill('#credential', 'bob')
  await bob.page.keyboard.press('Enter')
  await bob.page.locator('#sign-in-error:not(:empty)').waitFor()
  await look(bob.page, 'refused-dark')
})

test('under serve a token is asked for', async t => {
  const key = `k1:${'s'.repeat(43)}`
  const settings = ['--set', `auth.keys=${key}`, '--set', 'wechat.appid=wx0123456789abcdef', '--set', 'wechat.secret=not-used', '--set', 'web.enabled=true']
  const server = await Server.start(t, 'serve', ...settings)
  const alice = await person(t, shared, server, LIGHT)
  alice.expected = / 401 /
  const { page } = alice
  const enter = async (token, words) => {
    await page.fill('#credential', token)
    await page.keyboard.press('Enter')
    await page.locator('#sign-in-error', { hasText: words }).waitFor()
  }
  await page.getByLabel('登录令牌').waitFor()
  const token = server.command('token', 'alice')
  for (const bad of ['', 'a.b', token.slice(0, 40), `${token},x`, `Bearer ${token}`, token.replace('.', '..')]) await enter(bad, '这不是完整的令牌')
  const [head, body, signature] = token.split('.')
  const claims = JSON.parse(Buffer.from(body, 'base64url'))
  const forged = change => [head, Buffer.from(JSON.stringify({ ...claims, ...change })).toString('base64url'), signature].join('.')
  await enter(forged({ exp: 1 }), '令牌已过期')
  await enter(forged({ sub: 'bob' }), '服务器不接受这个令牌')
  await look(page, 'token-refused-light')

  await page.fill('#credential', token)
  await page.keyboard.press('Enter')
  await online(page)
  await openChat(page, 'alice')
  await say(page, '记一笔')
  await bubble(page, '记一笔').waitFor()
  await page.reload()
  await bubble(page, '记一笔').waitFor()

  // Another tab of this browser is nobody without a token of its own; one that is forged gets nothing of what the first one has.
  const tab = await alice.context.newPage()
  await tab.goto(server.url)
  await tab.fill('#credential', forged({ iat_ms: claims.iat_ms + 1 }))
  await tab.keyboard.press('Enter')
  await tab.locator('#sign-in-error', { hasText: '服务器不接受这个令牌' }).waitFor()
  await tab.close()

  // One that ends while the page is there, and is wanted for the next connection.
  const brief = server.command('token', 'carol', '--set', 'auth.token_ttl_s=12')
  const { exp } = JSON.parse(Buffer.from(brief.split('.')[1], 'base64url'))
  const last = await alice.context.newPage()
  await last.goto(server.url)
  await last.fill('#credential', brief)
  await last.keyboard.press('Enter')
  await online(last)
  await last.waitForFunction(end => Date.now() / 1000 > end + 1, exp)
  await last.evaluate(() => {
    for (const name of ['offline', 'online']) dispatchEvent(new Event(name))
  })
  await last.locator('#sign-in-error', { hasText: '令牌已过期' }).waitFor()
  await last.close()

  // Revoked while the page is there.
  await page.goto('about:blank')
  await fetch(`${server.url}/v1/logout`, { method: 'POST', headers: { authorization: `Bearer ${token}` }, body: '{"all":true}' })
  await page.goto(server.url)
  await page.locator('#sign-in-error', { hasText: '服务器不接受这个令牌' }).waitFor()
})
