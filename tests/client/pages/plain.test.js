'use strict'
// A client of the seed's protocol, from before there were tokens, acks and this mini-program.
const assert = require('node:assert/strict')
const { test } = require('node:test')
const { plainClient } = require('../browser')
const { Server, openPhone, studio } = require('./harness')
const { bubble, said, say } = require('./people')

const shared = studio()

test('a plain client talks with the mini-program', async (t) => {
  const server = await Server.start(t)
  const { page: alice } = await openPhone(t, shared, server, 'alice', { path: '/pages/chat/chat?peer=bob' })
  const bob = await plainClient(t, shared, server, 'bob', 'alice')
  await bob.say('from the seed')
  await bubble(alice, 'from the seed').waitFor()
  await say(alice, 'to the seed')
  const frame = await bob.hears('to the seed')
  assert.deepEqual([frame.type, frame.status, frame.from_user_openid, frame.to_user_openid], ['text', 200, 'alice', 'bob'])
  assert.deepEqual(await said(alice), ['from the seed', 'to the seed'])
  // Nothing is shown that the server does not check: the address of a file, and what a sender calls a type.
  for (const frame of [{ type: 'image', message: 'https://files.test/words.png' }, { type: 'buy-my-things', n: 1 }, { message: 'last' }]) await bob.send(frame)
  await bubble(alice, 'last').waitFor()
  const shown = (await said(alice)).slice(2)
  assert.ok(shown.length === 3 && !/words|buy/.test(shown.join()), shown.join())
})
