'use strict'

/** Real builds of projects that use the SDK, installed and copied, by name and by default; what comes out talks with a server. */

const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const { Server } = require('../client/server.js')
const { runApp } = require('./wx.js')

const BUILT = path.join(__dirname, '../../target/bundlers')
const PATIENCE_MS = 30_000

/** Runs a tool of a project's `node_modules`, and gives what it said. */
function build(project, tool, args, env = {}) {
  const cwd = path.join(BUILT, project)
  const { status, stdout, stderr } = spawnSync(path.join('node_modules/.bin', tool), args, { cwd, encoding: 'utf8', env: { ...process.env, NODE_ENV: 'production', ...env } })
  const said = stdout + stderr
  assert.equal(status, 0, said)
  assert.doesNotMatch(said, /is not exported|not found in|unresolved/i)
  return said
}

/** When that is so, looked at with every change of state and list. */
function until(chat, isSo) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`still ${chat.state} ${JSON.stringify(chat.error)}`)), PATIENCE_MS)
    const look = () => {
      if (!isSo()) return
      clearTimeout(late)
      resolve()
    }
    for (const event of ['state', 'messages']) chat.on(event, look)
    look()
  })
}

/** The built app's parts of the SDK, and one conversation by each of its ways in. */
async function talks(t, folder) {
  const server = await Server.start(t)
  const { createClient, copiedClient, installed, copied, createNotices, adapter } = runApp(folder, 'alice')
  assert.equal(typeof createNotices, 'function')
  const ways = { createClient, copiedClient, 'installed.createClient': installed.createClient, 'copied.createClient': copied.createClient }
  for (const [way, make] of Object.entries(ways)) {
    // As it is given by the app, `createAdapter(uni)` or `createAdapter(Taro)`; and what is chosen where none is given.
    for (const options of [{ adapter }, {}]) {
      const chat = make({ url: server.url, ...options })
      t.after(() => chat.stop())
      chat.start()
      await until(chat, () => chat.state === 'online')
      const { client_msg_id } = chat.send('bob', `by ${way}`)
      await until(chat, () => chat.messages('bob').some(message => message.client_msg_id === client_msg_id && message.seq))
      chat.stop()
    }
  }
}

test('uni-app, Vue 3: uni build -p mp-weixin', async t => {
  build('uni-app', 'uni', ['build', '-p', 'mp-weixin'])
  await talks(t, path.join(BUILT, 'uni-app/dist/build/mp-weixin'))
})

for (const compiler of ['webpack5', 'vite']) {
  test(`Taro by ${compiler}: taro build --type weapp`, async t => {
    build('taro', 'taro', ['build', '--type', 'weapp'], { HONGYAN_COMPILER: compiler })
    await talks(t, path.join(BUILT, 'taro/dist', compiler))
  })
}

test('Vite: vite build', async t => {
  build('uni-app', 'vite', ['build', '--config', 'plain.config.mjs'])
  await talks(t, path.join(BUILT, 'uni-app/dist/plain'))
})

test('a native mini-program: 构建 npm', async t => {
  const folder = path.join(BUILT, 'npm')
  const manifest = path.join(folder, 'package.json')
  fs.writeFileSync(manifest, JSON.stringify({ ...JSON.parse(fs.readFileSync(manifest, 'utf8')), dependencies: { 'hongyan-sdk': '*' } }))
  // DevTools' own, in a process of its own: it does not end by itself.
  const pack = `require('miniprogram-ci').packNpmManually({ packageJsonPath: ${JSON.stringify(manifest)}, miniprogramNpmDistDir: ${JSON.stringify(path.join(folder, 'app'))} })
    .then(({ miniProgramPackNum, warnList }) => process.exit(miniProgramPackNum === 1 && !warnList.length ? 0 : 1))`
  const { status, stdout, stderr } = spawnSync(process.execPath, ['-e', pack], { cwd: folder, encoding: 'utf8' })
  assert.equal(status, 0, stdout + stderr)
  await talks(t, path.join(folder, 'app'))
})
