'use strict'
// The parts of the pages that need no page.
const assert = require('node:assert/strict')
const fs = require('node:fs')
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

/** A page as `setData` leaves it, and what it was called with. */
function viewOf() {
  const calls = []
  const data = { rows: {}, order: [] }
  const setData = (changes) => {
    calls.push(changes)
    for (const [path, value] of Object.entries(changes)) {
      const names = path.split('.')
      const last = names.pop()
      names.reduce((object, name) => object[name], data)[last] = value
    }
  }
  return { calls, data, setData, shown: () => data.order.map((at) => data.rows[at]) }
}

test('a table makes of what is shown what is wanted, and sends no more than that', () => {
  const { createTable } = load('utils/table')
  const table = createTable()
  const view = viewOf()
  const row = (key, text) => ({ key, text, parts: [{ text }] })
  const show = (...rows) => {
    view.calls.length = 0
    table.show(view, rows)
    assert.deepEqual(view.shown(), rows)
    return view.calls
  }
  show(row('a', '1'), row('b', '2'))
  assert.deepEqual(show(row('a', '1'), row('b', '2')), [])
  assert.deepEqual(show(row('a', '1'), { ...row('b', '2'), text: '3' }), [{ 'rows.r1.text': '3' }])
  assert.deepEqual(show(row('a', '1'), row('b', '2'), row('c', '4')), [{ 'rows.r1.text': '2', 'rows.r2': row('c', '4'), order: ['r0', 'r1', 'r2'] }])
  // One above the others, and one that moves: nobody else is sent again.
  assert.deepEqual(show(row('z', '0'), row('a', '1'), row('b', '2'), row('c', '4')), [{ 'rows.r3': row('z', '0'), order: ['r3', 'r0', 'r1', 'r2'] }])
  assert.deepEqual(show(row('c', '4'), row('z', '0'), row('a', '1'), row('b', '2')), [{ order: ['r2', 'r3', 'r0', 'r1'] }])
  // The place of one that goes is another's only when that is not shown any more.
  assert.deepEqual(show(row('c', '4'), row('d', '5')), [{ 'rows.r4': row('d', '5'), order: ['r2', 'r4'] }])
  show(row('c', '4'), row('d', '5'), row('e', '6'))
  assert.ok(Object.keys(view.data.rows).length === 5)
})

test('a table calls as often as its rows are large, and shows them when all are there', () => {
  const { createTable } = load('utils/table')
  const view = viewOf()
  const rows = Array.from({ length: 200 }, (_, index) => ({ key: `m${index}`, text: '鸿'.repeat(1000) }))
  createTable().show(view, rows, { follow: true })
  assert.deepEqual(view.shown(), rows)
  const bytes = view.calls.map((call) => Buffer.byteLength(JSON.stringify(call)))
  assert.ok(Math.max(...bytes) <= 256 * 1024 && bytes.length >= 3, bytes.join())
  assert.deepEqual(view.calls.map(({ order, follow }) => !!order || !!follow), [...bytes.slice(1).map(() => false), true])
})

test('a long message is folded, not through an emoji, and a short one is not', () => {
  const { folded } = load('utils/messages')
  for (const text of ['', 'x', 'x'.repeat(1000), 'line\n'.repeat(29)]) assert.equal(folded(text), text)
  assert.equal(folded('x'.repeat(1001)), 'x'.repeat(800) + '…')
  assert.equal(folded('line\n'.repeat(31)), 'line\n'.repeat(24).trimEnd() + '…')
  assert.ok(folded('🐼'.repeat(600)).isWellFormed?.() ?? true)
  assert.equal(folded('x' + '🐼'.repeat(600)), 'x' + '🐼'.repeat(399) + '…')
})

test('what is unread is counted as it was when the user came in', () => {
  const { createUnread } = load('components/chat-room/unread')
  const messages = (from, to, more) => Array.from({ length: to - from + 1 }, (_, index) => ({ key: `m${from + index}`, seq: from + index, mine: false, recalled: false, ...more }))
  const conversation = (read_seq, unread) => ({ read_seq, unread })
  const entered = (...given) => { const unread = createUnread(); unread.enter(...given); return unread }

  // 90 of them, and 40 are here: more pages are wanted before the line can be drawn.
  const unread = entered(conversation(100, 90), messages(151, 190), true)
  assert.deepEqual(unread.of(messages(151, 190), true, true), { from: 0, count: 90 })
  assert.equal(unread.isReached, false)
  assert.deepEqual(unread.of(messages(91, 190), true, true), { from: 101, count: 90 })
  assert.deepEqual([unread.isReached, unread.key], [true, 'm101'])
  // What comes while the user looks is not among them; seen, the line stays.
  assert.deepEqual(unread.of(messages(91, 195), true, true), { from: 101, count: 90 })
  unread.seen()
  assert.deepEqual(unread.of(messages(91, 195), true, true), { from: 101, count: 0 })

  // A cold start: the rest comes with the connection, and counts.
  const cold = entered(conversation(100, 2), messages(90, 102), false)
  assert.equal(cold.of(messages(90, 102), true, false).count, 2)
  assert.equal(cold.of(messages(90, 130), true, true).count, 30)
  // A device that knows nothing of the chat waits for the list.
  const fresh = entered(undefined, [], false)
  assert.ok(fresh.isWaiting)
  fresh.enter(conversation(100, 90), messages(151, 190), true)
  assert.deepEqual([fresh.isWaiting, fresh.of(messages(151, 190), true, true).count], [false, 90])

  // Back from elsewhere the line stays, unless there are new ones again.
  unread.leave()
  unread.enter(conversation(195, 0), messages(91, 195), true)
  assert.deepEqual(unread.of(messages(91, 195), true, true), { from: 101, count: 0 })
  unread.leave()
  unread.enter(conversation(195, 2), messages(91, 197), true)
  assert.deepEqual(unread.of(messages(91, 197), true, true), { from: 196, count: 2 })

  // Own ones, and recalled ones, are not unread; of a chat that was never read a few need no line.
  assert.deepEqual(entered(conversation(3, 0), messages(1, 5, { mine: true }), true).of(messages(1, 5, { mine: true }), false, true), { from: 0, count: 0 })
  assert.deepEqual(entered(conversation(0, 3), messages(1, 3), true).of(messages(1, 3), false, true), { from: 0, count: 0 })
  assert.deepEqual(entered(conversation(0, 90), messages(1, 90), true).of(messages(1, 90), false, true), { from: 1, count: 90 })
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

test('every error that the protocol has is explained in both languages, any other in general, none in the server’s words', () => {
  const { errorText } = load('utils/messages')
  const protocol = fs.readFileSync(path.join(ROOT, '../docs/PROTOCOL.md'), 'utf8')
  const [, section] = /^## Words of `error`\n([^]*?)^## /m.exec(protocol)
  const named = [...section.matchAll(/^\| (`\w+`(?:, `\w+`)*) \|/gm)].flatMap(([, cell]) => [...cell.matchAll(/\w+/g)].flat())
  assert.ok(named.length > 15, named.join())
  for (const { errors } of [chinese, english]) assert.deepEqual(named.filter((word) => !Object.hasOwn(errors, word)), [])
  assert.deepEqual(named.filter((word) => errorText({ word, message: 'for developers' }) !== chinese.errors[word]), [])
  for (const word of ['of_tomorrow', 'constructor', undefined]) assert.equal(errorText({ word, message: 'for developers' }), chinese.errors.other)
})

test('a storage that is full is told of once, until it works again', (t) => {
  const { createDrafts } = load('utils/drafts')
  const { wx } = globalThis
  t.after(() => { globalThis.wx = wx })
  let isFull = true
  globalThis.wx = {
    getStorageSync: () => '',
    removeStorageSync() {},
    setStorageSync() { if (isFull) throw new Error('setStorageSync:fail exceed storage max size') },
  }
  let told = 0
  const drafts = createDrafts({ openid: 'alice', state: 'online', on() {} }, () => { told += 1 })
  const write = (text) => {
    drafts.set('bob', text)
    drafts.save()
    return told
  }
  assert.deepEqual(['a', 'ab', 'abc'].map(write), [1, 1, 1])
  isFull = false
  assert.equal(write('abcd'), 1)
  isFull = true
  assert.equal(write('abcde'), 2)
})

/** A page or a component as its file describes it, with its data and nothing to show them. */
function described(t, kind, file, app) {
  let options
  const before = { [kind]: globalThis[kind], getApp: globalThis.getApp }
  t.after(() => {
    globalThis[kind] = before[kind]
    globalThis.getApp = before.getApp
  })
  globalThis[kind] = (given) => { options = given }
  globalThis.getApp = () => app
  globalThis.wx.setNavigationBarTitle = () => {}
  delete require.cache[require.resolve(path.join(ROOT, file))]
  load(file)
  const setData = function (data) { Object.assign(this.data, data) }
  return { ...options, ...options.methods, data: { ...options.data }, setData, triggerEvent() {} }
}

test('a message that is read on its page stays there when it is only not at hand any more, and goes when it is recalled', (t) => {
  let messages = [{ key: 'p1', type: 'text', message: 'long words', recalled: false }]
  let come
  const chat = { messages: () => messages, on: (_, run) => { come = () => run({ peer: 'bob' }) } }
  const page = described(t, 'Page', 'pages/message/message.js', { chat })
  page.onLoad({ peer: 'bob', key: 'p1' })
  const shown = () => [page.text, page.data.pieces.length]
  assert.deepEqual(shown(), ['long words', 0])
  const [message] = messages
  messages = []
  come()
  assert.equal(page.text, 'long words')
  messages = [{ ...message, message: '', recalled: true }]
  come()
  assert.deepEqual(shown(), ['', 0])
})

test('who leaves a chat has stopped the search for the first unread message, and hears nothing of it', async (t) => {
  let asked = 0
  let fail
  const chat = { messages: () => [], leave() {}, watchPresence() {}, loadOlder: () => new Promise((_, reject) => { asked += 1; fail = reject }) }
  const page = described(t, 'Page', 'pages/chat/chat.js', { chat, notices: {}, drafts: { save() {} } })
  const toasts = []
  globalThis.wx.showToast = ({ title }) => toasts.push(title)
  page.render = () => {}
  page.peer = 'bob'
  const search = async (isLeft) => {
    const done = page.onUnread()
    assert.equal(page.data.seeking, true)
    if (isLeft) page.onHide()
    assert.equal(page.data.seeking, !isLeft)
    fail(Object.assign(new Error('for developers'), { word: 'timeout' }))
    await done
    assert.equal(page.data.seeking, false)
  }
  await search(true)
  assert.deepEqual([asked, toasts], [1, []])
  await search(false)
  assert.deepEqual([asked, toasts], [2, [chinese.errors.timeout]])
})

test('a room below another page is not looked at until it is shown again', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const room = described(t, 'Component', 'components/chat-room/chat-room.js', {})
  let looks = 0
  room.createSelectorQuery = () => ({
    select: () => ({ boundingClientRect() {} }),
    // It is on its way to its end, and never comes there.
    exec(then) {
      looks += 1
      then([{ top: 0, bottom: 100 }, null, { bottom: 500 }])
    },
  })
  Object.assign(room.data, { unread: 20, follow: true })
  room.lifetimes.created.call(room)
  room.lookForUnread()
  const during = () => {
    const before = looks
    for (let step = 0; step < 10; step += 1) t.mock.timers.tick(100)
    return looks - before
  }
  assert.equal(during(), 10)
  room.pageLifetimes.hide.call(room)
  room.lookForUnread()
  assert.equal(during(), 0)
  room.pageLifetimes.show.call(room)
  assert.equal(during(), 10)
})
