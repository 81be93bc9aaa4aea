'use strict'
// Search in what the phone holds.
const assert = require('node:assert/strict')
const { test } = require('node:test')
const { DARK, ROOT, Server, openPhone, studio } = require('./harness')
const { act, back, bubble, conversation, fits, hold, message, online, openChat, say, seen, title, write } = require('./people')

const shared = studio()
const NO_RATE = ['--set', 'limits.messages_per_second=0', '--set', 'limits.http_per_second=0']
const field = (page) => seen(page, '.field input')
const results = (page) => seen(page, '.found .row')
const matches = (page) => seen(page, '.match').evaluateAll((all) => all.map((node) => node.textContent).filter(Boolean))

test('chats are found by name and messages by what they say, and a result leads to its message', async (t) => {
  const server = await Server.start(t, ...NO_RATE)
  await server.request('PUT', '/v1/me', { as: 'bob', body: { nickname: '鲍勃 Bob' } })
  const many = (name) => Array.from({ length: 30 }, (_, index) => `${name} ${index}.`)
  await write(shared, server, 'bob', 'alice', [...many('early'), '周末去<爬山>吗？', ...many('later')])
  await write(shared, server, 'carol', 'alice', ['I met BOB.* yesterday, and then there was a long, long way to go'])
  const { page } = await openPhone(t, shared, server, 'alice')
  const { page: bob } = await openPhone(t, shared, server, 'bob', { ...DARK, path: '/pages/chat/chat?peer=alice' })
  await conversation(page, '鲍勃').waitFor()
  await openChat(page, '鲍勃')
  await bubble(page, 'later 29.').waitFor()
  await back(page)
  await seen(page, '.search').tap()
  await title(page, '搜索')
  await seen(page, '.hint').filter({ hasText: '只搜索保存在这台设备上' }).waitFor()

  // Whatever the case; a pattern is no more than its characters.
  await field(page).fill('bob')
  await results(page).nth(1).waitFor()
  assert.deepEqual(await seen(page, '.head').allTextContents(), ['聊天', '聊天记录'])
  assert.deepEqual(await matches(page), ['Bob', 'BOB'])
  await fits(page)
  await field(page).fill('bob.*')
  await page.waitForFunction(() => document.querySelectorAll('.found .row').length === 1)
  await field(page).fill('没有的')
  await seen(page, '.none').filter({ hasText: '没有找到“没有的”' }).waitFor()

  // Chinese by any part; the result leads to the message, far up.
  await field(page).fill('去<爬')
  await results(page).waitFor()
  assert.deepEqual([await matches(page), await seen(page, '.words').textContent()], [['去<爬'], '周末去<爬山>吗？'])
  await results(page).tap()
  await title(page, '鲍勃 Bob')
  await seen(page, '.chat-room--row.chat-room--found').filter({ hasText: '爬山' }).waitFor()
  await page.waitForFunction(() => {
    const box = (selector) => document.querySelector(`.wx-page:not([hidden]) ${selector}`).getBoundingClientRect()
    const [list, row] = [box('.chat-room--list'), box('.chat-room--found')]
    return row.top >= list.top - 1 && row.bottom <= list.bottom
  })
  // What was found is still there, and a chat opens as from the list.
  await back(page)
  await results(page).waitFor()
  await field(page).fill('CAROL')
  await page.waitForFunction(() => [...document.querySelectorAll('.found .match')].some((node) => node.textContent === 'carol'))
  await results(page).tap()
  await title(page, 'carol')
  await back(page)

  // What comes is found, and what is recalled is not any more.
  await field(page).fill('not yet said')
  await seen(page, '.none').waitFor()
  await say(bob, 'Not yet said')
  await results(page).waitFor()
  await message(bob, 'Not yet said').locator('.chat-room--sending').waitFor({ state: 'detached' })
  await hold(bob, bubble(bob, 'Not yet said'))
  await act(bob, 'Recall')
  await results(page).waitFor({ state: 'detached' })
  await field(page).fill('')
  await seen(page, '.none').waitFor({ state: 'detached' })
})

test('a message that is not at hand any more is said to be, and the chat opens', async (t) => {
  const server = await Server.start(t)
  await write(shared, server, 'bob', 'alice', ['hello'])
  const { page } = await openPhone(t, shared, server, 'alice', { ...DARK, path: '/pages/chat/chat?peer=bob&key=p7' })
  await page.locator('.wx-toast', { hasText: 'not there any more' }).waitFor()
  await bubble(page, 'hello').waitFor()
  await online(page)
})

test('a search in much is bounded, and lets the page breathe', async () => {
  globalThis.wx = globalThis.wx || { getAppBaseInfo: () => ({ language: 'zh_CN' }) }
  const { find, excerpt } = require(`${ROOT}/miniprogram/utils/search`)
  const asked = new Set()
  const text = 'words and '.repeat(20)
  const chat = {
    conversations: () => Array.from({ length: 3000 }, (_, index) => ({ peer: `o${index}` })),
    messages: (peer) => Array.from({ length: 100 }, (_, index) => ({ peer, key: `p${index}`, type: 'text', message: `${text}${index} needle`, mine: false, recalled: false, seq: index, sent_at: index })),
    user: (openid) => { asked.add(openid); return { openid, nickname: '', avatar: '' } },
  }
  let breaths = 0
  const breathing = setInterval(() => { breaths += 1 })
  const found = await find(chat, 'NEEDLE', () => true)
  assert.deepEqual([found.chats.length, found.messages.length, found.isMore, asked.size], [0, 50, true, 500])
  assert.deepEqual((await find(chat, 'no such', () => true)).messages, [])
  clearInterval(breathing)
  assert.ok(breaths > 2, `${breaths}`)
  // Somebody typed on: it ends.
  assert.equal(await find(chat, 'no such', () => false), undefined)
  assert.deepEqual(excerpt('before that 🐼 a Needle, and\nafter', 'needle'), { before: '…that 🐼 a ', match: 'Needle', after: ', and after' })
})
