'use strict'

/** What holds for the file as it is shipped. */

const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const { readFileSync } = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const { gzipSync } = require('node:zlib')
const esbuild = require('esbuild')

const source = readFileSync(path.join(__dirname, '../../../miniprogram/sdk/hongyan.js'), 'utf8')
const built = options => esbuild.transformSync(source, { legalComments: 'none', ...options }).code
const KB = 1024

test('it is small: at most 20 KB of code without comments and layout, at most 8 KB minified and gzipped', t => {
  // As written there is a fifth more: indentation, line ends, braces.
  const bare = Buffer.byteLength(built({ minifyWhitespace: true, minifySyntax: true }))
  const packed = gzipSync(built({ minify: true }), { level: 9 }).length
  t.diagnostic(`figure: the SDK has ${bare} bytes without comments and layout, ${packed} bytes minified and gzipped`)
  assert.ok(bare <= 20 * KB, `${bare} bytes`)
  assert.ok(packed <= 8 * KB, `${packed} bytes`)
})

test('it has no syntax that is newer than 2018, so that it runs unbuilt', () => {
  assert.equal(built({ minifyWhitespace: true, target: 'es2018' }), built({ minifyWhitespace: true, target: 'esnext' }))
})

test('it needs nothing', () => {
  assert.doesNotMatch(source, /\brequire\(|\bimport\b(?!\()/)
})

test('it is what its types say, for WeChat and for browsers', () => {
  const { status, stdout } = spawnSync(process.execPath, [require.resolve('typescript/bin/tsc'), '-p', __dirname], { encoding: 'utf8' })
  assert.equal(status, 0, stdout)
})
