'use strict'

/** The SDK as a package: what npm makes of it, in Node, under TypeScript and in bundles. Real builds of uni-app, Taro and Vite: tests/bundlers. */

const assert = require('node:assert/strict')
const { execFileSync, spawnSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { before, after, test } = require('node:test')
const esbuild = require('esbuild')
const { files } = require('../../../scripts/sdk-modules')

const ROOT = path.join(__dirname, '../../..')
const SDK = path.join(ROOT, 'miniprogram/sdk')
const read = file => fs.readFileSync(file, 'utf8')

/** A project that has installed the package, and copied its folder to `copy` as DevTools users do. */
const project = fs.mkdtempSync(path.join(os.tmpdir(), 'hongyan-package-'))
let listing
before(() => {
  const [{ filename, files: packed }] = JSON.parse(execFileSync('npm', ['pack', '--json', '--pack-destination', project, SDK], { encoding: 'utf8', cwd: project, stdio: ['ignore', 'pipe', 'ignore'] }))
  listing = packed.map(file => file.path).sort()
  const installed = path.join(project, 'node_modules/hongyan-sdk')
  fs.mkdirSync(installed, { recursive: true })
  execFileSync('tar', ['xzf', path.join(project, filename), '-C', installed, '--strip-components=1'])
  fs.cpSync(installed, path.join(project, 'copy'), { recursive: true })
})
after(() => fs.rmSync(project, { recursive: true }))

function write(name, text) {
  fs.writeFileSync(path.join(project, name), text)
  return path.join(project, name)
}
const run = (name, text) => execFileSync(process.execPath, [write(name, text)], { encoding: 'utf8', cwd: project }).trim()

/** Makes a client and says its state. */
const USE = `
  const adapter = { storage: { get() {}, set() {}, remove() {} } }
  console.log([createClient, hongyan.createClient].map(make => make({ url: 'https://chat.example', adapter }).state).join(), typeof createNotices, typeof notices.createNotices, isOpenid('a.b'))`
const SAID = 'stopped,stopped function function false'
const NAMED = from => `import hongyan, { createClient, isOpenid } from '${from('hongyan')}'\nimport notices, { createNotices } from '${from('notices')}'\n`
const installed = name => (name === 'hongyan' ? 'hongyan-sdk' : `hongyan-sdk/${name}`)

test('what is made of others is up to date', () => {
  for (const [name, text] of Object.entries(files())) assert.equal(read(path.join(SDK, name)), text, `${name}: run scripts/sdk-modules`)
})

test('the package has everything it names, and nothing else', () => {
  assert.deepEqual(listing, ['package.json', ...fs.readdirSync(SDK).filter(name => /\.(m?js|d\.m?ts)$/.test(name))].sort())
  const { main, module, types, exports, version, license } = JSON.parse(read(path.join(SDK, 'package.json')))
  const named = value => (typeof value === 'string' ? [value] : Object.values(value).flatMap(named))
  for (const file of [main, module, types, ...named(exports)]) assert.ok(listing.includes(file.replace('./', '')), file)
  const cargo = read(path.join(ROOT, 'Cargo.toml'))
  assert.deepEqual([version, license], ['version', 'license'].map(key => new RegExp(`^${key} = "(.+)"`, 'm').exec(cargo)[1]))
})

test('Node: required and imported, by name and by default', () => {
  const required = from => `const hongyan = require('${from('hongyan')}'), notices = require('${from('notices')}')
    const { createClient, isOpenid } = hongyan, { createNotices } = notices.default
    if (hongyan.default !== hongyan) throw new Error('default')\n`
  assert.equal(run('require.cjs', required(installed) + USE), SAID)
  assert.equal(run('import.mjs', NAMED(installed) + USE), SAID)
  // Files that were copied, CommonJS among them.
  assert.equal(run('copied.cjs', required(name => `./copy/${name}`) + USE), SAID)
  assert.equal(run('copied.mjs', NAMED(name => `./copy/${name}.js`) + USE), SAID)
  assert.equal(run('copied-module.mjs', NAMED(name => `./copy/${name}.mjs`) + USE), SAID)
  assert.equal(run('index.cjs', `console.log(Object.keys(require('./copy/index.js')).join())`), 'createClient,createAdapter,createBrowserAdapter,isOpenid,default')
})

for (const format of ['cjs', 'esm', 'iife']) {
  test(`a bundle by esbuild, ${format}: installed and copied`, () => {
    for (const from of [installed, name => `./copy/${name}`, name => `./copy/${name}.js`]) {
      const entry = write('entry.js', NAMED(from) + USE)
      const outfile = path.join(project, `bundle.${format === 'esm' ? 'mjs' : 'cjs'}`)
      const { warnings } = esbuild.buildSync({ entryPoints: [entry], bundle: true, format, outfile, platform: 'neutral', mainFields: ['module', 'main'], target: 'es2018', logLevel: 'silent' })
      assert.deepEqual(warnings.map(({ text }) => text), [])
      assert.equal(execFileSync(process.execPath, [outfile], { encoding: 'utf8' }).trim(), SAID)
    }
  })
}

test('a bundle takes what is used: without notices there are none, and nothing is there twice', () => {
  const entry = write('small.js', `import { isOpenid } from 'hongyan-sdk'\nconsole.log(isOpenid('a'))`)
  const { outputFiles: [{ text }] } = esbuild.buildSync({ entryPoints: [entry], bundle: true, format: 'esm', write: false, platform: 'neutral' })
  assert.doesNotMatch(text, /createNotices|connectSocket/)
})

const PAGE = `import hongyan, { createAdapter, createClient, isOpenid, type Client, type Message } from 'hongyan-sdk'
import notices, { createNotices, type NoticesState } from 'hongyan-sdk/notices'
export const chat: Client = createClient({ url: 'https://chat.example', adapter: createAdapter({}) })
export const same: Client = hongyan.createClient({ url: '' })
export const sent: Message = chat.send('bob', 'hi', { type: 'card' })
export const state: NoticesState = createNotices(chat).state()
export const other: NoticesState = notices.createNotices(same).state()
export const isOne: boolean = isOpenid(7)
// @ts-expect-error: a peer is a string
chat.send(7, 'hi')
`
/** TypeScript's settings, and the endings of what they compile. */
const KINDS = {
  node10: [{ module: 'commonjs', moduleResolution: 'node10' }, ['page.ts']],
  'node10 with interop': [{ module: 'commonjs', moduleResolution: 'node10', esModuleInterop: true }, ['page.ts']],
  bundler: [{ module: 'esnext', moduleResolution: 'bundler' }, ['page.ts']],
  nodenext: [{ module: 'nodenext', moduleResolution: 'nodenext' }, ['page.mts', 'page.cts']],
}
for (const [kind, [options, names]] of Object.entries(KINDS)) {
  test(`TypeScript, ${kind}: types by name and by default`, () => {
    for (const name of names) {
      // A CommonJS file that imports the default gets the whole module by either way.
      write(name, PAGE)
      write('tsconfig.json', JSON.stringify({ compilerOptions: { ...options, strict: true, noEmit: true, target: 'es2020', lib: ['es2020'], types: [], skipLibCheck: false }, files: [name] }))
      const { status, stdout } = spawnSync(process.execPath, [require.resolve('typescript/bin/tsc'), '-p', project], { encoding: 'utf8' })
      assert.equal(status, 0, `${name}: ${stdout}`)
    }
  })
}
