'use strict'

/** The modules in sdk/, of which scripts/sdk-modules makes the files that are shipped. */

const assert = require('node:assert/strict')
const { execFileSync, spawnSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { test } = require('node:test')

const ROOT = path.join(__dirname, '../../..')
const SOURCES = path.join(ROOT, 'sdk')
const modules = fs.readdirSync(SOURCES, { recursive: true }).filter(name => name.endsWith('.js'))
const read = name => fs.readFileSync(path.join(SOURCES, name), 'utf8')

test('each imports what it names, and what it imports is there', () => {
  const { status, stdout } = spawnSync(process.execPath, [require.resolve('typescript/bin/tsc'), '-p', path.join(__dirname, 'tsconfig.modules.json')], { encoding: 'utf8' })
  assert.equal(status, 0, stdout)
})

test('what all clients share knows none of them', () => {
  const shared = modules.filter(name => !name.startsWith('client/') && name !== 'hongyan.js')
  assert.ok(shared.length > 5)
  for (const name of shared) assert.doesNotMatch(read(name), /client\//, name)
  // What such a module keeps would be every client's.
  for (const name of shared) assert.doesNotMatch(read(name), /^(export )?let\b|^(export )?const \w+ = (new|\[\]|\{\})/m, name)
})

test('every module is shipped, once', () => {
  const shipped = ['hongyan.js', 'notices.js', 'extras.js'].map(name => fs.readFileSync(path.join(ROOT, 'miniprogram/sdk', name), 'utf8')).join('\n')
  for (const name of modules) assert.equal(shipped.split(`// ---- ${name}\n`).length, 2, name)
})

test('none has more than 250 lines', () => {
  for (const name of modules) assert.ok(read(name).split('\n').length <= 250, name)
})

/** What the script says of the sources, with one of them changed. */
function changed(name, change) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hongyan-modules-'))
  fs.cpSync(SOURCES, path.join(folder, 'sdk'), { recursive: true })
  fs.mkdirSync(path.join(folder, 'scripts'))
  fs.copyFileSync(path.join(ROOT, 'scripts/sdk-modules'), path.join(folder, 'scripts/sdk-modules'))
  fs.writeFileSync(path.join(folder, 'sdk', name), change(read(name)))
  const { status, stderr } = spawnSync(process.execPath, [path.join(folder, 'scripts/sdk-modules'), folder], { encoding: 'utf8' })
  const written = status === 0 && execFileSync(process.execPath, ['-p', `Object.keys(require('${folder}/hongyan.js')).join()`], { encoding: 'utf8' }).trim()
  fs.rmSync(folder, { recursive: true })
  return written || stderr
}

test('the script refuses what modules can and one file cannot', () => {
  assert.equal(changed('single.js', text => text), 'createClient,createAdapter,createBrowserAdapter,isOpenid,default')
  assert.match(changed('client/users.js', text => `${text}const merge = 1\n`), /merge is defined in sdk\/rows\.js and in sdk\/client\/users\.js/)
  assert.match(changed('client/users.js', text => `import * as rows from '../rows.js'\n${text}`), /sdk\/client\/users\.js has another form/)
  assert.match(changed('single.js', text => `${text}export default single\n`), /sdk\/single\.js has another form/)
})
