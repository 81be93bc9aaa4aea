'use strict'
/** examples/two-people.html, from a server of this machine. */

const assert = require('node:assert/strict')
const fs = require('node:fs')
const http = require('node:http')
const path = require('node:path')
const { test } = require('node:test')
const { AWAY, DARK, LIGHT, PHONE, Server, WIDE, browser, fits, look, person } = require('./harness')
const { ROOT } = require('../server')

const shared = browser()

/** The page at an address of its own. */
async function serve(t) {
  const page = fs.readFileSync(path.join(ROOT, 'examples/two-people.html'))
  const site = http.createServer((request, response) => {
    response.setHeader('content-type', 'text/html; charset=utf-8')
    response.end(request.url === '/' ? page : '')
  })
  await new Promise(resolve => site.listen(0, '127.0.0.1', resolve))
  t.after(() => site.close())
  return `http://127.0.0.1:${site.address().port}/`
}

for (const [name, options, words] of [
  ['zh', { viewport: WIDE, ...LIGHT }, { lang: 'zh-CN', open: '已连接', lost: '连接中断', label: 'alice 发给 bob', send: '发送' }],
  ['en', { ...DARK, ...PHONE }, { lang: 'en', open: 'connected', lost: 'lost (', label: 'alice to bob', send: 'Send' }],
]) {
  test(`two people in one page, ${name}`, async t => {
    const server = await Server.start(t)
    const somebody = await person(t, shared, { url: await serve(t) }, options)
    const { page } = somebody
    somebody.expected = AWAY
    await page.fill('#address', `ws://${server.address}`)
    await page.click('#connect')
    for (const pane of await page.locator('section').all()) await pane.locator('.state.open', { hasText: words.open }).waitFor().catch(async error => { throw new Error(`the page says: ${await page.locator('main').innerText()}`, { cause: error }) })
    assert.equal(await page.locator('html').getAttribute('lang'), words.lang)
    const [alice, bob] = await page.locator('section').all()
    await alice.getByLabel(words.label).fill('  hello  ')
    await alice.getByRole('button', { name: words.send }).click()
    await bob.locator('li', { hasText: 'hello' }).waitFor()
    assert.equal(await bob.locator('li').evaluate(item => item.firstChild.data), 'hello')
    await fits(page)
    await look(page, `two-people-${name}`)
    await server.kill()
    await alice.locator('.state.lost', { hasText: words.lost }).waitFor()
    await look(page, `two-people-${name}-lost`)
  })
}
