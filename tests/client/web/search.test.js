'use strict'
/** Search in what the device holds. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { DARK, LIGHT, PHONE, Server, browser, bubble, fits, look, openChat, say, signedIn, write } = require('./harness')

const shared = browser()
const NO_RATE = ['--set', 'limits.messages_per_second=0', '--set', 'limits.http_per_second=0']
const field = '#search input'
const results = page => page.locator('#found button')
const inSight = (page, words) => page.waitForFunction(words => {
  const log = document.querySelector('#log').getBoundingClientRect()
  const bubble = [...document.querySelectorAll('.bubble')].find(each => each.textContent.includes(words))?.getBoundingClientRect()
  return bubble && bubble.top >= log.top && bubble.bottom <= log.bottom
}, words)

test('chats are found by name and messages by what they say, and a result leads to its message', async t => {
  const server = await Server.start(t, ...NO_RATE)
  await server.request('PUT', '/v1/me', { as: 'bob', body: { nickname: '鲍勃 Bob' } })
  await write(shared, server, 'bob', 'alice', [...Array.from({ length: 30 }, (_, i) => `第 ${i} 条`), '周末去<爬山>吗？', ...Array.from({ length: 30 }, (_, i) => `later ${i}`)])
  await write(shared, server, 'carol', 'alice', ['I met BOB.* yesterday, and then there was a long, long way to go'])
  const { page } = await signedIn(t, shared, server, 'alice', LIGHT)
  const { page: bob } = await signedIn(t, shared, server, 'bob', DARK)
  await page.click('#conversations a[data-peer=bob]')
  await bubble(page, 'later 29').waitFor()
  await page.locator('#conversations .name', { hasText: '鲍勃' }).waitFor()
  assert.equal(await page.getAttribute(field, 'placeholder'), '搜索本机上的聊天')

  // Whatever the case; a pattern is no more than its characters.
  await page.fill(field, 'bob')
  await results(page).nth(1).waitFor()
  assert.deepEqual(await page.locator('#found h2').allTextContents(), ['聊天', '聊天记录'])
  assert.deepEqual(await page.locator('#found mark').allTextContents(), ['Bob', 'BOB'])
  assert.equal(await page.locator('#conversations').isVisible(), false)
  await page.getByText('只搜索保存在这台设备上').waitFor()
  await look(page, 'search-light')
  await page.fill(field, 'bob.*')
  await page.waitForFunction(() => document.querySelectorAll('#found button').length === 1)
  await page.fill(field, '没有的')
  await page.locator('#found .none', { hasText: '没有找到“没有的”' }).waitFor()
  await look(page, 'search-none-light')

  // Chinese by any part; the result leads to the message in the open chat.
  await page.fill(field, '去<爬')
  await page.locator('#found mark', { hasText: '去<爬' }).waitFor()
  assert.equal((await page.locator('#found .words').textContent()), '周末去<爬山>吗？')
  await results(page).click()
  await inSight(page, '去<爬山>')
  await page.locator('.row[data-revealed]', { hasText: '爬山' }).waitFor()
  await look(page, 'search-revealed-light')
  // What was found stays, so that one can look at the next; and one in another chat opens that.
  await page.fill(field, 'yesterday')
  await page.locator('#found mark', { hasText: 'yesterday' }).waitFor()
  assert.match(await page.locator('#found .words').textContent(), /^….{0,10}yesterday, and/)
  await results(page).click()
  await page.locator('#room h2', { hasText: 'carol' }).waitFor()
  await inSight(page, 'yesterday')
  // Empty, the list is back.
  await page.fill(field, '')
  await page.locator('#conversations').waitFor()
  assert.equal(await page.locator('#found').isVisible(), false)

  // What comes is found, and what is recalled is not any more.
  await page.fill(field, 'not yet said')
  await page.locator('#found .none').waitFor()
  await openChat(bob, 'alice')
  await say(bob, 'Not yet said')
  await results(page).waitFor()
  await bubble(bob, 'Not yet said').click({ button: 'right' })
  await bob.getByRole('menuitem', { name: 'Recall' }).click()
  await results(page).waitFor({ state: 'detached' })
})

test('search with the keyboard alone, and on a phone', async t => {
  const server = await Server.start(t, ...NO_RATE)
  await write(shared, server, 'bob', 'alice', ['first match', 'second match'])
  const { page } = await signedIn(t, shared, server, 'alice', DARK)
  await page.locator('#conversations a').waitFor()
  await page.getByRole('search').getByRole('searchbox', { name: 'Search on this device' }).focus()
  await page.keyboard.type('match')
  await results(page).waitFor()
  const focused = () => page.evaluate(() => document.activeElement.textContent)
  await page.keyboard.press('ArrowDown')
  assert.match(await focused(), /second match/)
  await look(page, 'search-dark')
  await page.keyboard.press('ArrowUp')
  assert.equal(await page.evaluate(() => document.activeElement.type), 'search')
  await page.keyboard.press('Enter')
  await page.locator('.row[data-revealed]', { hasText: 'second match' }).waitFor()
  assert.match(await focused(), /second match/)
  await page.focus(field)
  await page.keyboard.press('ArrowDown')
  assert.match(await focused(), /second match/)
  await page.keyboard.press('Escape')
  assert.deepEqual([await page.inputValue(field), await page.locator('#conversations').isVisible(), await page.evaluate(() => document.activeElement.type)], ['', true, 'search'])

  const { page: phone } = await signedIn(t, shared, server, 'alice', { ...LIGHT, ...PHONE })
  await phone.locator('#conversations a').waitFor()
  await phone.fill(field, 'match')
  await results(phone).first().waitFor()
  await fits(phone)
  await look(phone, 'search-phone-light')
  await results(phone).first().tap()
  await phone.locator('.row[data-revealed]').waitFor()
  await phone.tap('#back')
  // Back where the results are.
  await results(phone).first().waitFor()
})

test('a search in much is bounded, and does not hold the page up', async t => {
  const server = await Server.start(t, ...NO_RATE)
  const { page } = await signedIn(t, shared, server, 'alice', DARK)
  const { longest, found, more } = await page.evaluate(async () => {
    const { Search } = await import('/assets/search.js')
    const message = (peer, i) => ({ peer, key: `p${i}`, type: 'text', message: `${'words and '.repeat(20)}${i} needle`, mine: false, recalled: false, seq: i, sent_at: i })
    const asked = new Set()
    const chat = {
      on() {},
      conversations: () => Array.from({ length: 3000 }, (_, i) => ({ peer: `o${i}` })),
      messages: peer => Array.from({ length: 100 }, (_, i) => message(peer, i)),
      user: openid => { asked.add(openid); return { openid, nickname: '', avatar: '' } },
    }
    new Search(chat, () => {})
    const field = document.querySelector('#search input')
    let longest = 0
    let before = performance.now()
    const watch = setInterval(() => { longest = Math.max(longest, performance.now() - before); before = performance.now() })
    const search = async (words, done) => {
      field.value = words
      field.dispatchEvent(new Event('input'))
      while (!done()) await new Promise(resolve => setTimeout(resolve, 5))
    }
    await search('no such', () => document.querySelector('#found .none'))
    await search('NEEDLE', () => document.querySelector('#found button'))
    clearInterval(watch)
    if (asked.size > 500) throw new Error(`${asked.size} names are asked for`)
    return { longest, found: document.querySelectorAll('#found button').length, more: document.querySelector('#found .hint').textContent }
  })
  console.log(`figure: a search in 50 000 messages holds the page up for at most ${Math.round(longest)} ms`)
  assert.equal(found, 50)
  assert.match(more, /newest 50/)
  assert.ok(longest < 200, `${longest}`)
})
