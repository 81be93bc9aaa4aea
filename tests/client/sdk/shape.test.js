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
  // Without comments alone it is above 20 KB: that is what layout costs, and is printed here so that it is not forgotten.
  const lines = source.replace(/\/\*[\s\S]*?\*\//g, '').split('\n').filter(line => line.trim() && !/^\s*\/\//.test(line))
  const uncommented = Buffer.byteLength(lines.join('\n'))
  const bare = Buffer.byteLength(built({ minifyWhitespace: true, minifySyntax: true }))
  const packed = gzipSync(built({ minify: true }), { level: 9 }).length
  t.diagnostic(`figure: the SDK has ${uncommented} bytes without comments, ${bare} without layout and redundant syntax too, ${packed} minified and gzipped`)
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
