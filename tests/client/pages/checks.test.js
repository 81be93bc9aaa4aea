'use strict'
// What WeChat's own tools would say of the mini-program, without running it.
const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { test } = require('node:test')
const { wcc } = require('../host/wcc')

const CLIENT = path.join(__dirname, '..')
const ROOT = path.join(CLIENT, '../../miniprogram')
const files = fs.readdirSync(ROOT, { recursive: true }).filter((file) => fs.statSync(path.join(ROOT, file)).isFile())
const ending = (...suffixes) => files.filter((file) => suffixes.includes(path.extname(file)))
const read = (file) => fs.readFileSync(path.join(ROOT, file), 'utf8')

test('tsc has nothing to say, with the types of WeChat’s API', () => {
  const { status, stdout } = spawnSync(process.execPath, [path.join(CLIENT, 'node_modules/typescript/bin/tsc'), '-p', CLIENT], { encoding: 'utf8' })
  assert.equal(status, 0, stdout)
})

test('WeChat’s compiler takes every WXML and WXS', (t) => {
  const tried = wcc(ROOT, ['-d', 'pages/chat/chat.wxml'])
  if (tried.error) {
    console.log(`skipped: wcc does not run here: ${tried.error.message}`)
    return t.skip()
  }
  const { status, stderr } = wcc(ROOT, ['-d', ...ending('.wxml', '.wxs')])
  assert.equal(status, 0, stderr)

  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hongyan-wcc-'))
  fs.writeFileSync(path.join(folder, 'wrong.wxml'), '<view>\n  <text>\n</view>\n')
  const wrong = wcc(folder, ['-d', 'wrong.wxml'])
  fs.rmSync(folder, { recursive: true })
  assert.notEqual(wrong.status, 0, 'it takes what is wrong, too')
})

test('the whole package is small, and every picture is', () => {
  // What DevTools uploads: not the documentation.
  const uploaded = files.filter((file) => !file.endsWith('.d.ts'))
  const bytes = uploaded.reduce((sum, file) => sum + fs.statSync(path.join(ROOT, file)).size, 0)
  console.log(`figure: the mini-program has ${Math.ceil(bytes / 1024)} KiB`)
  assert.ok(bytes <= 200 * 1024, `${bytes} bytes`)
  for (const file of ending('.png', '.jpg', '.svg')) assert.ok(fs.statSync(path.join(ROOT, file)).size <= 4096, file)
})

test('nothing is fetched from anywhere but the server', () => {
  for (const file of ending('.wxml', '.wxss')) assert.doesNotMatch(read(file), /https?:|\/\/[\w-]+\./, file)
})

test('no call of WeChat’s fails in silence', () => {
  // What answers at once, or has nothing to say: and a toast is what says the rest.
  const SYNC = new Set(['getAppBaseInfo', 'getAccountInfoSync', 'getFileSystemManager', 'getStorageSync', 'setStorageSync', 'removeStorageSync', 'showToast'])
  let calls = 0
  for (const file of ending('.js').filter((name) => !name.startsWith('sdk/'))) {
    const code = read(file)
    for (const { 1: name, index } of code.matchAll(/\b(?:wx|files\(\))\.(\w+)\(/g)) {
      if (SYNC.has(name)) continue
      calls += 1
      let end = code.indexOf('(', code.indexOf(name, index))
      for (let depth = 0; end < code.length; end += 1) {
        depth += { '(': 1, ')': -1 }[code[end]] || 0
        if (!depth) break
      }
      // `options` has one, too.
      assert.match(code.slice(index, end), /\bfail\b|\boptions\b/, `${file}: wx.${name}`)
    }
  }
  assert.ok(calls > 15, `${calls}`)
})

test('every page and component has its four files, and every JSON is one', () => {
  const app = JSON.parse(read('app.json'))
  for (const file of ending('.json')) JSON.parse(read(file))
  const components = ending('.json').map((file) => file.replace(/\.json$/, '')).filter((file) => JSON.parse(read(`${file}.json`)).component)
  for (const file of [...app.pages, ...components]) {
    for (const suffix of ['.js', '.json', '.wxml', '.wxss']) assert.ok(files.includes(file + suffix), file + suffix)
  }
})

test('what app.json takes from theme.json is there, in light and in dark', () => {
  const theme = JSON.parse(read('theme.json'))
  const names = [...read('app.json').matchAll(/"@(\w+)"/g)].map(([, name]) => name)
  assert.ok(names.length)
  for (const name of names) assert.ok(theme.light[name] && theme.dark[name], name)
})
