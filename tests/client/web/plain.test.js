'use strict'
/** A client of the seed's protocol talks with the page. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { DARK, Server, browser, bubble, openChat, plainClient, said, say, signedIn } = require('./harness')

const shared = browser()

test('the seed’s client and the page', async t => {
  const server = await Server.start(t)
  const { page: alice } = await signedIn(t, shared, server, 'alice', DARK)
  const bob = await plainClient(t, shared, server, 'bob', 'alice')
  await bob.say('from a plain client')
  await alice.locator('#conversations a[data-peer=bob]').getByText('1 unread').waitFor()
  await alice.click('#conversations a[data-peer=bob]')
  await bubble(alice, 'from a plain client').waitFor()
  await say(alice, 'to a plain client')
  const heard = await bob.hears('to a plain client')
  assert.deepEqual([heard.type, heard.from_user_openid, heard.to_user_openid], ['text', 'alice', 'bob'])
  // The chat with the other is on the screen: what is pushed to them is read.
  await alice.getByText('Read', { exact: true }).waitFor()
  await bob.say('再见')
  await bubble(alice, '再见').waitFor()
  assert.deepEqual(await said(alice), ['from a plain client', 'to a plain client', '再见'])
  const kinds = new Set((await bob.frames()).map(({ type }) => type))
  assert.deepEqual([...kinds].sort(), ['init', 'text'])
})

test('nothing is shown that the server does not check: the address of a file, and what a sender calls a type', async t => {
  const server = await Server.start(t)
  const { page: alice } = await signedIn(t, shared, server, 'alice', DARK)
  const bob = await plainClient(t, shared, server, 'bob', 'alice')
  const file = 'https://files.test/words-in-an-address.png?more=words'
  for (const frame of [
    { type: 'image', message: file }, { type: 'voice', message: file.toUpperCase() }, { type: 'image', message: `https://a\ufeffb c` },
    { type: 'buy-my-things', n: 1 }, { type: 'toString', message: 'said' }, { type: 'image', message: 'a caption' }, { type: 'file', message: 'last' },
  ]) await bob.send(frame)
  await alice.click('#conversations a[data-peer=bob]')
  await bubble(alice, 'last').waitFor()
  assert.deepEqual(await said(alice), ['[Image]', '[Voice]', '[Image]', '[Message]', '[Message] said', '[Image] a caption', '[File] last'])
  // The file can be opened all the same.
  assert.equal(await alice.locator('.bubble a').first().getAttribute('href'), file)
  const page = await alice.locator('body').innerText()
  assert.ok(!/words|buy/i.test(page), page)
})

test('a v1 client without a conversation hears of it from a plain one at once', async t => {
  const server = await Server.start(t)
  const { page: alice } = await signedIn(t, shared, server, 'alice', DARK)
  await openChat(alice, 'bob')
  const bob = await plainClient(t, shared, server, 'bob', 'alice')
  await bob.say('hello')
  await bubble(alice, 'hello').waitFor()
})
