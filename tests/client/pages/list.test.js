'use strict'
// A list of thousands of conversations.
const assert = require('node:assert/strict')
const { test } = require('node:test')
const { Server, openPhone, studio } = require('./harness')
const { conversation, online, seen } = require('./people')

const shared = studio()

/** A client that has so many conversations, without a server having them. */
const crowd = (page, count) => page.evaluate((many) => {
  const { chat } = getApp()
  const last = (index) => ({ type: 'text', message: '鸿雁'.repeat(100), state: 'received', mine: false, recalled: false, seq: index, sent_at: index })
  globalThis.chats = Array.from({ length: many }, (_, index) => (
    { peer: `o${index}`, last: last(index), read_seq: 0, unread: 1, muted: false, pinned: false, updated_at: many - index, typing: false }
  ))
  chat.conversations = () => chats
  chat.user = (openid) => ({ openid, nickname: `用户 ${openid}`, avatar: '' })
  getCurrentPages()[0].render()
}, count)

test('a list of thousands is scrolled through, and the screen has some hundred of them', async (t) => {
  const server = await Server.start(t)
  const { page } = await openPhone(t, shared, server, 'alice')
  await online(page)
  await crowd(page, 700)
  await conversation(page, 'o49').waitFor()
  const list = seen(page, '.conversation-list--list')
  const rows = () => seen(page, '.conversation-list--row').count()
  /** Scrolls to an end until `name` is there. */
  const scrollTo = async (end, name) => {
    let most = 0
    for (let step = 0; step < 200 && !await conversation(page, name).count(); step += 1) {
      // An end is told when it is come to, and not while one stays there.
      for (const px of [1000, 0]) {
        await list.evaluate((node, wanted) => { node.scrollTop = wanted < 0 ? node.scrollHeight - node.clientHeight + wanted + 1 : wanted }, end === 'top' ? px : -px - 1)
        await page.evaluate(() => new Promise((resolve) => { requestAnimationFrame(() => requestAnimationFrame(resolve)) }))
      }
      most = Math.max(most, await rows())
    }
    assert.ok(await conversation(page, name).count(), name)
    assert.ok(most <= 300, `${most}`)
  }
  await scrollTo('end', '用户 o699')
  await scrollTo('top', '用户 o0')
})

test('one that moves to the top costs its name, and not the list', async (t) => {
  const server = await Server.start(t)
  const { page } = await openPhone(t, shared, server, 'alice')
  await online(page)
  await crowd(page, 300)
  const sent = await page.evaluate(() => {
    const [list] = getCurrentPages()
    list.end = 300
    host.settings.setData.largest = 0
    list.render()
    const all = host.settings.setData.largest
    chats.unshift(chats.pop())
    host.settings.setData.largest = 0
    list.render()
    return { all, moved: host.settings.setData.largest, top: list.data.rows[list.data.order[0]].key }
  })
  console.log(`figure: 300 conversations: ${sent.all} bytes in the largest call of setData, ${sent.moved} where one moves to the top`)
  assert.equal(sent.top, 'o299')
  assert.ok(sent.moved * 20 < sent.all, JSON.stringify(sent))
})
