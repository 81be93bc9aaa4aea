'use strict'
/** Single parts of the page, in the page. */

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const { ROOT } = require('../server')
const { DARK, LIGHT, Server, browser, person } = require('./harness')

const shared = browser()

test('times are as WeChat shows them', async t => {
  const server = await Server.start(t)
  const times = async options => {
    const { page } = await person(t, shared, server, { ...options, timezoneId: 'Asia/Shanghai' })
    return page.evaluate(async () => {
      const { longTime, shortTime } = await import('/assets/time.js')
      const now = Date.parse('2026-11-26T09:30:00+08:00')
      return ['2026-11-26T00:05:00+08:00', '2026-11-25T23:59:00+08:00', '2026-11-24T15:12:00+08:00', '2026-11-20T09:00:00+08:00', '2026-11-19T23:00:00+08:00', '2025-12-31T08:00:00+08:00']
        .map(time => [shortTime(Date.parse(time), now), longTime(Date.parse(time), now).replace('\u202f', ' ')])
    })
  }
  assert.deepEqual(await times(LIGHT), [
    ['00:05', '00:05'],
    ['昨天', '昨天 23:59'],
    ['星期二', '星期二 15:12'],
    ['星期五', '星期五 09:00'],
    ['11月19日', '11月19日 23:00'],
    ['2025年12月31日', '2025年12月31日 08:00'],
  ])
  const english = await times(DARK)
  assert.deepEqual(english.map(([short]) => short).slice(1), ['Yesterday', 'Tuesday', 'Friday', 'Nov 19', 'Dec 31, 2025'])
  assert.equal(english[1][1], 'Yesterday 11:59 PM')
})

test('both languages say the same things', async t => {
  const server = await Server.start(t)
  const { page } = await person(t, shared, server, LIGHT)
  const source = await (await fetch(`${server.url}/assets/text.js`)).text()
  const [zh, en] = [...source.matchAll(/^const (?:zh|en) = \{\n(.*?)^\}/gms)].map(([, words]) => [...words.matchAll(/^ {2}(\w+): '(.*)',$/gm)].map(([, key, words]) => [key, [...words.matchAll(/\{\w+\}/g)].flat()]))
  assert.ok(zh.length > 80)
  assert.deepEqual(zh, en)
  // And all that the page names are there.
  const named = await page.evaluate(() => [...document.querySelectorAll('[data-text], [data-label]')].flatMap(({ dataset }) => [dataset.text, dataset.label]).filter(Boolean))
  for (const key of named) assert.ok(en.some(([known]) => known === key), key)
})

test('every error that the protocol has is explained, in the reader’s language', async t => {
  const server = await Server.start(t)
  const protocol = fs.readFileSync(path.join(ROOT, 'docs/PROTOCOL.md'), 'utf8')
  const [, section] = /^## Words of `error`\n([^]*?)^## /m.exec(protocol)
  const named = [...section.matchAll(/^\| (`\w+`(?:, `\w+`)*) \|/gm)].flatMap(([, cell]) => [...cell.matchAll(/\w+/g)].flat())
  assert.ok(named.length > 15, named.join())
  for (const [options, isOther] of [[LIGHT, words => /^出错了（\w+）/.test(words)], [DARK, words => /^Something went wrong/.test(words)]]) {
    const { page } = await person(t, shared, server, options)
    const explained = await page.evaluate(async named => {
      const { explain } = await import('/assets/text.js')
      return named.map(word => explain({ word, message: 'for developers' }))
    }, [...named, 'of_tomorrow', 'constructor'])
    assert.deepEqual(named.filter((word, i) => isOther(explained[i])), [])
    assert.deepEqual(explained.slice(-2).map(isOther), [true, true])
    if (options === LIGHT) assert.deepEqual(explained.filter(words => !/\p{Script=Han}/u.test(words)), [])
    assert.ok(!explained.some(words => words.includes('developers')))
  }
})

test('addresses become links where they are of the web, and end where the sentence goes on', async t => {
  const server = await Server.start(t)
  const { page } = await person(t, shared, server, LIGHT)
  const links = words => page.evaluate(async words => {
    const { drawMessage } = await import('/assets/message.js')
    const row = document.createElement('div')
    drawMessage(row, { mine: false, type: 'text', message: words, state: 'received', sent_at: 0 }, { time: '', mark: '', user: { openid: 'bob', nickname: '', avatar: '' } }, undefined)
    return [...row.querySelectorAll('a')].map(link => link.getAttribute('href'))
  }, words)
  for (const [words, found] of [
    ['https://example.com', ['https://example.com']],
    ['see http://example.com/a_(b)?c=d#e, or HTTPS://EXAMPLE.COM/x!', ['http://example.com/a_(b)?c=d#e', 'HTTPS://EXAMPLE.COM/x']],
    ['（https://例子.中国/路径）。好', ['https://例子.中国/路径']],
    ['看https://example.com/图，对吗？', ['https://example.com/图']],
    ['javascript:alert(1) ftp://example.com data:text/html,x //example.com mailto:a@example.com', []],
    ['https:// http://[ https://', []],
    ['"https://example.com/"onclick=x', ['https://example.com/']],
    [`https://a${'.)'.repeat(100)}b${'?!'.repeat(100)}`, [`https://a${'.)'.repeat(100)}b`]],
    // An address is what it looks like: nothing in it is unseen, or turns it round.
    ['https://example.com/\u202emoc.elgoog', ['https://example.com/']],
    ['https://example.com\u200b.example.org', ['https://example.com']],
  ]) assert.deepEqual(await links(words), found, words)
})
