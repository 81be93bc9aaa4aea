'use strict'
// docs/CLIENT.md: from an empty project to a chat. What stands there is copied and run.
const assert = require('node:assert/strict')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { test } = require('node:test')
const { DARK, ROOT, Server, openPhone, studio } = require('./harness')
const { bubble, conversation, openChat, said, say, write } = require('./people')

const MANUAL = fs.readFileSync(path.join(ROOT, 'docs/CLIENT.md'), 'utf8')
const COPIED = MANUAL.match(/^4\. Copy (.*?) of/m)[1].match(/(?<=`)[\w/]+(?=\/`)/g)
const project = fs.mkdtempSync(path.join(os.tmpdir(), 'hongyan-manual-'))
test.after(() => fs.rmSync(project, { recursive: true }))

for (const folder of COPIED) fs.cpSync(path.join(ROOT, 'miniprogram', folder), path.join(project, folder), { recursive: true })
// A block after the name of its file.
for (const [, file, block] of MANUAL.matchAll(/`([\w/.]+)`:\n\n +```\w+\n(.*?)\n +```/gs)) {
  fs.mkdirSync(path.dirname(path.join(project, file)), { recursive: true })
  fs.writeFileSync(path.join(project, file), block.replace(/^ {3}/gm, '').replace("'https://chat.example.com'", 'globalThis.hostSettings.url'))
}
const shared = studio(project)

test('the ten steps of the manual make a chat', async (t) => {
  const server = await Server.start(t)
  await write(shared, server, 'bob', 'alice', ['does it work?'])
  const { page: alice } = await openPhone(t, shared, server, 'alice')
  await openChat(alice, 'bob')
  await bubble(alice, 'does it work?').waitFor()
  const { page: bob } = await openPhone(t, shared, server, 'bob', { ...DARK, path: '/pages/chat/chat?peer=alice' })
  await say(alice, 'it does')
  await bubble(bob, 'it does').waitFor()
  assert.deepEqual(await said(bob), ['does it work?', 'it does'])
  await alice.locator('.wx-back').tap()
  await conversation(alice, 'bob').filter({ hasText: 'it does' }).waitFor()
})
