'use strict'
/** The page of WeChat's double: what WeChat was asked, and what phones would show. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { DARK, LIGHT, PHONE, Server, WIDE, browser, fits, look, person, signedIn } = require('./harness')

const shared = browser()

/** What a server with an access_token asks of WeChat. */
async function asServer(double) {
  const post = async (path, body) => (await fetch(`${double}${path}`, { method: 'POST', body: JSON.stringify(body) })).json()
  const { access_token } = await post('/cgi-bin/stable_token', { grant_type: 'client_credential', appid: 'wx-dev', secret: 'dev-secret' })
  return (path, body) => post(`${path}?access_token=${access_token}`, body)
}

async function control(double, path, body) {
  const answer = await fetch(`${double}${path}`, { method: 'POST', body: JSON.stringify(body) })
  assert.equal(answer.status, 204)
}

const check = (ask, openid, content) => ask('/wxa/msg_sec_check', { version: 2, openid, scene: 4, content })
const notice = (ask, touser, peer, fields) => ask('/cgi-bin/message/subscribe/send', {
  touser, template_id: 'NEW_MESSAGES', page: `pages/chat/chat?peer=${peer}`, data: Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, { value }])),
})

for (const [name, options] of [['light', LIGHT], ['dark', DARK], ['phone', { ...PHONE, ...DARK }]]) {
  test(`calls and messages stand there as they come, ${name}`, async t => {
    const server = await Server.start(t)
    const { page: bob } = await signedIn(t, shared, server, 'bob')
    const { page, context } = await person(t, shared, { url: server.double }, { viewport: WIDE, ...options, locale: 'en-US' })
    await page.locator('#state[data-state=live]').waitFor()
    assert.equal(await page.locator('#appid').textContent(), 'AppID wx-dev')
    await page.getByText('No message yet').waitFor()

    const ask = await asServer(server.double)
    const row = text => page.locator('#calls tr', { hasText: text })
    const outcome = async text => {
      const found = row(text).locator('.outcome')
      return [await found.textContent(), await found.getAttribute('data-is')]
    }
    await row('code2session').waitFor()
    await check(ask, 'bob', '你好，明天见 <b>bold</b>')
    await check(ask, 'bob', 'dev-review:20012')
    await check(ask, 'bob', 'dev-risky:20002')
    await check(ask, 'nobody', 'who is it')
    await notice(ask, 'bob', 'alice', { thing1: 'refused' })
    await row('refused').waitFor()
    assert.deepEqual(await outcome('<b>bold</b>'), ['pass 100', 'good'])
    assert.deepEqual(await outcome('dev-review:20012'), ['review 20012', 'odd'])
    assert.deepEqual(await outcome('dev-risky:20002'), ['risky 20002', 'bad'])
    assert.deepEqual(await outcome('who is it'), ['errcode 61010', 'bad'])
    assert.deepEqual(await outcome('refused'), ['errcode 43101', 'bad'])
    assert.equal(await page.locator('#notices li').count(), 0)

    await control(server.double, '/__subscribe', { openid: 'bob', template_id: 'NEW_MESSAGES' })
    await notice(ask, 'bob', 'alice', { thing1: '爱丽丝', number2: '3', time3: '2026年11月26日 09:41' })
    const card = page.locator('#notices li')
    await card.getByText('爱丽丝').waitFor()
    assert.deepEqual(await card.locator('dt').allTextContents(), ['number2', 'thing1', 'time3'])
    assert.equal(await card.locator('.to').textContent(), 'to bob')
    // The server was told of the prompt and of the message, and took both.
    for (const event of ['subscribe_msg_popup_event', 'subscribe_msg_sent_event']) {
      await row(event).waitFor()
      assert.deepEqual(await outcome(event), ['success', 'good'])
    }
    await fits(page)
    await look(page, `double-${name}`)

    // A tap opens the chat, where the browser client is.
    const opened = context.waitForEvent('page')
    await card.locator('a').click()
    const client = await opened
    await client.waitForURL(`${server.url}/#alice`)
    await bob.close()
  })
}

test('it speaks the browser’s language, and the other one where that was chosen', async t => {
  const server = await Server.start(t)
  await signedIn(t, shared, server, 'bob')
  const ask = await asServer(server.double)
  await check(ask, 'bob', 'dev-risky:20002')
  await control(server.double, '/__subscribe', { openid: 'bob', template_id: 'NEW_MESSAGES' })
  await notice(ask, 'bob', 'alice', { thing1: '$&' })
  for (const [name, locale, colors] of [['zh', 'zh-CN', LIGHT], ['en', 'de-DE', DARK]]) {
    const { page, context } = await person(t, shared, { url: server.double }, { viewport: WIDE, ...colors, locale })
    const chinese = async page => {
      await page.getByRole('heading', { name: '微信收到的请求' }).waitFor()
      await page.locator('#calls tr', { hasText: '通知服务器' }).first().waitFor()
      await page.getByText('发给 bob').waitFor()
      await page.locator('#state', { hasText: '实时' }).waitFor()
      assert.deepEqual([await page.title(), await page.locator('html').getAttribute('lang')], ['微信替身', 'zh-CN'])
      assert.doesNotMatch(await page.locator('body').innerText(), /told|What|live|User|Nothing/)
    }
    const english = async page => {
      await page.getByRole('heading', { name: 'What WeChat was asked' }).waitFor()
      await page.locator('#calls tr', { hasText: 'told the server' }).first().waitFor()
      await page.getByText('to bob').waitFor()
      assert.deepEqual([await page.title(), await page.locator('html').getAttribute('lang')], ['WeChat’s double', 'en'])
    }
    const [its, other] = name === 'zh' ? [chinese, english] : [english, chinese]
    await its(page)
    await fits(page)
    await look(page, `double-${name}`)
    const rows = await page.locator('#calls tr').count()
    await page.locator('#language').press('Enter')
    await other(page)
    assert.equal(await page.locator('#calls tr').count(), rows)
    // Chosen is chosen, in another tab too.
    const tab = await context.newPage()
    await tab.goto(server.double)
    await other(tab)
    await tab.close()
    await page.setViewportSize(PHONE.viewport)
    await fits(page)
    await look(page, `double-${name}-phone`)
  }
})

test('what came before the page was opened stands there, and the newest is first', async t => {
  const server = await Server.start(t)
  await signedIn(t, shared, server, 'bob')
  const ask = await asServer(server.double)
  for (let n = 0; n < 310; n++) await check(ask, 'bob', `text ${n}`)
  const { page } = await person(t, shared, { url: server.double })
  await page.getByText('text 309', { exact: true }).waitFor()
  assert.equal(await page.locator('#calls .what').first().textContent(), 'text 309')
  assert.equal(await page.locator('#calls tr').count(), 300)
  await check(ask, 'bob', 'one more')
  await page.getByText('one more').waitFor()
  assert.equal(await page.locator('#calls .what').first().textContent(), 'one more')
  assert.equal(await page.locator('#calls tr').count(), 300)
})
