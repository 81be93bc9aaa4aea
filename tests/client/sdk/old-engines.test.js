'use strict'

/** How old an engine and a base library may be: what the shipped files use is looked up, and held against what CLIENT.md says. */

const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const { readFileSync, readdirSync } = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const ts = require('typescript')

const ROOT = path.join(__dirname, '../../..')
const MINIPROGRAM = path.join(ROOT, 'miniprogram')
const read = name => readFileSync(path.join(ROOT, name), 'utf8')

const older = (a, b) => {
  const [one, other] = [a, b].map(version => version.split('.').map(Number))
  const at = one.findIndex((part, i) => part !== other[i])
  return at >= 0 && one[at] < other[at]
}
const newest = versions => versions.reduce((most, version) => (older(most, version) ? version : most), '1.0.0')

// ---- the language

const RUN = ['adapters', 'arguments', 'cancel', 'catching-up', 'connection', 'hostile', 'marks', 'messages', 'notices', 'sign-in', 'storage'].map(name => `${name}.test.js`)

test('the tests of the SDK pass in an engine of 2018', () => {
  const files = RUN.map(name => path.join(__dirname, name))
  const { NODE_TEST_CONTEXT, ...env } = process.env
  const { status, stdout } = spawnSync(process.execPath, ['--require', path.join(__dirname, 'old-engine.js'), '--test', '--test-concurrency=1', ...files], { encoding: 'utf8', env, maxBuffer: 2 ** 28 })
  assert.equal(status, 0, stdout.split('\n').filter(line => /^not ok|error:/.test(line)).join('\n'))
  assert.match(stdout, new RegExp(`^# pass [1-9]\\d\\d`, 'm'))
})

test('in that engine, a shipped file finds nothing newer', () => {
  const script = `
    const vm = require('node:vm')
    const ask = (what, filename) => vm.runInThisContext(what, { filename })
    const found = ['Object.fromEntries', '[].flat', 'BigInt', '"".replaceAll'].map(what => [ask(what, '/x/miniprogram/sdk/x.js'), ask(what, '/x/tests/x.js')].map(each => typeof each))
    console.log(JSON.stringify(found))`
  const { stdout } = spawnSync(process.execPath, ['--require', path.join(__dirname, 'old-engine.js'), '-e', script], { encoding: 'utf8' })
  assert.deepEqual(JSON.parse(stdout), Array(4).fill(['undefined', 'function']))
})

test('no shipped file names the global object as 2020 does', () => {
  for (const name of readdirSync(MINIPROGRAM, { recursive: true }).filter(each => each.endsWith('.js'))) {
    assert.doesNotMatch(readFileSync(path.join(MINIPROGRAM, name), 'utf8'), /\bglobalThis\b/, name)
  }
})

// ---- WeChat's own calls

const TYPES = path.join(__dirname, '../node_modules/miniprogram-api-typings/types')
/** The base library that a declaration of WeChat's asks for. */
const versionIn = comment => (/^[*\s]*(?:\/\*\*)?[^\n]*\n?[*\s]*需要基础库： `([\d.]+)`/m.exec(comment) || [])[1] || '1.0.0'

/** What a file uses of WeChat's types, each with the base library that it needs: calls, their options, and what they give. */
function* uses(program, file) {
  const checker = program.getTypeChecker()
  const source = program.getSourceFile(file)
  const of = symbol => (symbol?.declarations || []).filter(each => each.getSourceFile().fileName.startsWith(TYPES)).map(each => {
    const text = each.getSourceFile().text
    return [symbol.name, versionIn(text.slice(each.getFullStart(), each.getStart()))]
  })
  const found = []
  const walk = node => {
    if (ts.isPropertyAccessExpression(node)) found.push(...of(checker.getSymbolAtLocation(node.name)))
    if (ts.isObjectLiteralExpression(node)) {
      const type = checker.getContextualType(node)
      for (const { name } of node.properties) if (type && name) found.push(...of(checker.getPropertyOfType(type, name.getText())))
    }
    ts.forEachChild(node, walk)
  }
  walk(source)
  yield* found
}

const said = /SDK[^\n]*base library `([\d.]+)`[\s\S]*?pages[^\n]*`([\d.]+)`/.exec(read('docs/CLIENT.md')) || []

test('the pages need no newer base library than CLIENT.md says', t => {
  const { config } = ts.readConfigFile(path.join(__dirname, '../tsconfig.json'), ts.sys.readFile)
  const { fileNames, options } = ts.parseJsonConfigFileContent(config, ts.sys, path.join(__dirname, '..'))
  const program = ts.createProgram(fileNames, options)
  const all = fileNames.flatMap(file => [...uses(program, file)])
  const most = newest(all.map(([, version]) => version))
  t.diagnostic(`figure: the pages need base library ${most}, for ${[...new Set(all.filter(([, version]) => version === most).map(([name]) => name))].join(', ')}`)
  assert.ok(all.some(([name]) => name === 'compressImage') && all.length > 50, 'nothing was found')
  assert.ok(!older(said[2], most), `${most} ${JSON.stringify(all.filter(([, version]) => version === most))}`)
})

test('the SDK needs the base library that CLIENT.md says', t => {
  const api = readFileSync(path.join(TYPES, 'wx/lib.wx.api.d.ts'), 'utf8')
  const source = ['hongyan.js', 'notices.js'].map(name => read(`miniprogram/sdk/${name}`)).join('\n')
  // `wx` is whatever it is given, without a type: these are its names there.
  const called = [...source.matchAll(/(?:\bwx\.|\bapi\.|promised\(')(\w+)/g)].map(([, name]) => name)
  const [, events] = /const events = \{ (AppHide[^}]*NetworkStatusChange)/.exec(source)
  const heard = [...events.matchAll(/(\w+):/g)].map(([, name]) => name).concat('NetworkStatusChange').flatMap(name => [`on${name}`, `off${name}`])
  const names = [...new Set([...called, ...heard])]
  const versions = names.map(name => {
    const comment = new RegExp(`/\\*\\* [^\\n]*\\bwx\\.${name}\\([^\\n]*\\n([\\s\\S]*?)\\*/`).exec(api)
    assert.ok(comment, `${name} is no call of WeChat's`)
    return [name, (/需要基础库： `([\d.]+)`/.exec(comment[1]) || [])[1] || '1.0.0']
  })
  const most = newest(versions.map(([, version]) => version))
  t.diagnostic(`figure: the SDK needs base library ${most}: ${versions.map(each => each.join(' ')).join(', ')}`)
  assert.ok(names.includes('connectSocket') && names.includes('offNetworkStatusChange') && names.length >= 12, names.join())
  assert.equal(most, said[1])
})
