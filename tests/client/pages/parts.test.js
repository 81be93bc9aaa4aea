'use strict'
// The parts of the pages that need no page.
const assert = require('node:assert/strict')
const path = require('node:path')
const { test } = require('node:test')

const ROOT = path.join(__dirname, '../../../miniprogram')
const load = (file) => require(path.join(ROOT, file))
globalThis.wx = { getAppBaseInfo: () => ({ language: 'zh_CN' }) }
const chinese = load('i18n/zh-CN')
const english = load('i18n/en')

test('both languages say the same things', () => {
  const shape = (words) => Object.fromEntries(Object.entries(words).map(([name, value]) => [
    name, typeof value === 'string' ? (value.match(/\{\w+\}/g) || []).sort().join() : shape(value),
  ]))
  assert.deepEqual(shape(english), shape(chinese))
})

test('times are as WeChat writes them', () => {
  const { shortTime, longTime } = load('utils/time')
  const at = (...parts) => new Date(...parts).getTime()
  const now = at(2026, 10, 26, 13, 5)
  const cases = [
    [at(2026, 10, 26, 0, 4), '00:04', '00:04', '00:04'],
    [at(2026, 10, 25, 23, 59), '昨天', '昨天 23:59', 'Yesterday 23:59'],
    [at(2026, 10, 20, 8, 0), '星期五', '星期五 08:00', 'Friday 08:00'],
    [at(2026, 10, 19, 8, 0), '11月19日', '11月19日 08:00', 'Nov 19 08:00'],
    [at(2025, 2, 5, 18, 3), '2025年3月5日', '2025年3月5日 18:03', 'Mar 5, 2025 18:03'],
    // By a clock that runs ahead.
    [at(2026, 10, 27, 9, 0), '09:00', '09:00', '09:00'],
  ]
  for (const [ms, short, long, inEnglish] of cases) {
    assert.equal(shortTime(ms, now, chinese.time), short)
    assert.equal(longTime(ms, now, chinese.time), long)
    assert.equal(longTime(ms, now, english.time), inEnglish)
  }
})

test('links end where the sentence goes on', () => {
  const { partsOf } = load('utils/messages')
  const links = (text) => partsOf(text).filter(({ link }) => link).map((part) => part.text)
  assert.deepEqual(links('看 https://example.com/a?b=1&c=%20#d，好'), ['https://example.com/a?b=1&c=%20#d'])
  assert.deepEqual(links('(http://example.com/).'), ['http://example.com/'])
  assert.deepEqual(links('https://a.example https://b.example/x!'), ['https://a.example', 'https://b.example/x'])
  assert.deepEqual(links('nothing: javascript:alert(1) and //x.example'), [])
  const text = 'one https://a.example, two https://b.example three'
  assert.equal(partsOf(text).map((part) => part.text).join(''), text)
})

test('a message of any kind has a text', () => {
  const { textOf } = load('utils/messages')
  const message = (more) => ({ type: 'text', message: 'x', mine: false, recalled: false, ...more })
  assert.equal(textOf(message({})), 'x')
  assert.equal(textOf(message({ type: 'image', message: 'https://a.example/b.png' })), '[图片]')
  // A name that every object has.
  assert.equal(textOf(message({ type: 'constructor', message: 'hi' })), 'hi')
  assert.equal(textOf(message({ type: '__proto__', message: '' })), '[消息]')
  assert.equal(textOf(message({ recalled: true, mine: true, message: '' })), '你撤回了一条消息')
})

test('a patch makes of what is shown what is wanted, and no more', () => {
  const { patchList } = load('utils/patch')
  const row = (key, text) => ({ key, text, parts: [{ text }] })
  const shown = [row('a', '1'), row('b', '2')]
  assert.deepEqual(patchList('rows', shown, [row('a', '1'), row('b', '2')]), {})
  assert.deepEqual(patchList('rows', shown, [row('a', '1'), { ...row('b', '2'), text: '3' }, row('c', '4')]), { 'rows[1].text': '3', 'rows[2]': row('c', '4') })
  assert.deepEqual(patchList('rows', shown, [row('z', '0'), ...shown]), { rows: [row('z', '0'), ...shown] })
  assert.deepEqual(patchList('rows', shown, [row('a', '1')]), { rows: [row('a', '1')] })
})

test('the window follows the end, holds still further up, and stays small', () => {
  const { createWindow } = load('components/chat-room/window')
  const messages = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => ({ key: `m${from + index}`, seq: from + index, mine: false, recalled: false }))
  const ends = ({ shown }) => [shown[0].seq, shown[shown.length - 1].seq]
  const window = createWindow()
  assert.deepEqual(window.of([]).shown, [])
  assert.deepEqual(ends(window.of(messages(998, 1000))), [998, 1000])
  // A page that came in after the newest.
  assert.deepEqual(ends(window.of(messages(901, 1000))), [961, 1000])
  assert.deepEqual(ends(window.of(messages(901, 1100))), [961, 1100])
  assert.ok(window.of(messages(901, 1300)).shown.length <= 200)

  window.toEnd()
  window.of(messages(1, 1000))
  window.setFollow(messages(1, 1000), false)
  for (let page = 0; page < 10; page += 1) assert.ok(window.older(messages(1, 1000)))
  const far = window.of(messages(1, 1000))
  assert.deepEqual(ends(far), [561, 760])
  assert.ok(far.detached)
  const later = window.of(messages(1, 1003))
  assert.deepEqual([ends(later), later.fresh], [[561, 760], 3])
  for (let page = 0; page < 20; page += 1) window.newer(messages(1, 1003))
  assert.deepEqual(ends(window.of(messages(1, 1003))), [804, 1003])
  window.setFollow(messages(1, 1003), true)
  assert.equal(window.of(messages(1, 1003)).fresh, 0)
  // What it held on to is gone: it goes to the end.
  assert.deepEqual(ends(window.of(messages(2001, 2050))), [2011, 2050])
})

test('rows: a time after a pause, a mark at the last message of each state', () => {
  const { roomRows } = load('components/chat-room/rows')
  const now = new Date(2026, 10, 26, 13, 5).getTime()
  const message = (seq, more) => ({ key: `m${seq}`, mine: true, type: 'text', message: `${seq}`, client_msg_id: `${seq}`, seq, sent_at: now + seq * 1000, state: 'read', recalled: false, ...more })
  const rows = roomRows([
    message(1), message(2), message(3, { mine: false, state: 'received' }), message(4, { state: 'delivered' }),
    message(5, { state: 'delivered', sent_at: now + 3_600_000 }), message(0, { key: 'm6', state: 'sending', sent_at: now + 3_600_500 }),
  ], undefined, now)
  assert.deepEqual(rows.map(({ mark }) => mark), ['', '已读', '', '', '已送达', ''])
  assert.deepEqual(rows.map(({ time }) => time), ['13:05', '', '', '', '14:05', ''])
  assert.deepEqual(rows.map(({ state }) => state), ['', '', '', '', '', 'sending'])
  assert.equal(roomRows([message(9)], message(8), now)[0].time, '')
})
