'use strict'

/** What holds for the files as they are shipped. */

const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const { readFileSync } = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const { gzipSync } = require('node:zlib')
const esbuild = require('esbuild')

const read = name => readFileSync(path.join(__dirname, '../../../miniprogram/sdk', name), 'utf8')
const built = (source, options) => esbuild.transformSync(source, { legalComments: 'none', ...options }).code
const FILES = ['hongyan.js', 'notices.js', 'extras.js']
const KB = 1024

// What ships is minified, by DevTools or by a bundler: names inside cost nothing, and can be clear.
test('it is small: at most 22 KB minified, at most 8 KB of that gzipped', t => {
  const minified = built(read('hongyan.js'), { minify: true })
  const bare = Buffer.byteLength(built(read('hongyan.js'), { minifyWhitespace: true, minifySyntax: true }))
  const packed = gzipSync(minified, { level: 9 }).length
  t.diagnostic(`figure: the SDK has ${Buffer.byteLength(minified)} bytes minified, ${packed} of them gzipped, ${bare} with the names of the source`)
  assert.ok(Buffer.byteLength(minified) <= 22 * KB, `${Buffer.byteLength(minified)} bytes`)
  assert.ok(packed <= 8 * KB, `${packed} bytes`)
})

test('notices are small: at most 4 KB of code without comments and layout', t => {
  const bare = Buffer.byteLength(built(read('notices.js'), { minifyWhitespace: true, minifySyntax: true }))
  t.diagnostic(`figure: the notices have ${bare} bytes without layout and redundant syntax`)
  assert.ok(bare <= 4 * KB, `${bare} bytes`)
})

test('the extras are small: at most 6 KB minified and gzipped', t => {
  const packed = gzipSync(built(read('extras.js'), { minify: true }), { level: 9 }).length
  t.diagnostic(`figure: the extras have ${packed} bytes minified and gzipped`)
  assert.ok(packed <= 6 * KB, `${packed} bytes`)
})

test('they have no syntax that is newer than 2018, so that they run unbuilt', () => {
  for (const source of FILES.map(read)) {
    assert.equal(built(source, { minifyWhitespace: true, target: 'es2018' }), built(source, { minifyWhitespace: true, target: 'esnext' }))
  }
})

test('they need nothing', () => {
  for (const source of FILES.map(read)) assert.doesNotMatch(source, /\brequire\(|\bimport\b(?!\()/)
})

test('they are what their types say, for WeChat and for browsers', () => {
  const { status, stdout } = spawnSync(process.execPath, [require.resolve('typescript/bin/tsc'), '-p', __dirname], { encoding: 'utf8' })
  assert.equal(status, 0, stdout)
})
