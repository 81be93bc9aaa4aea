'use strict'
// WeChat's own WXML compiler, from the package that its team publishes. What it compiles runs in any window, as `$gwx(file)(data)`.
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')

const PROGRAM = { linux: 'linux/wcc', darwin: 'mac/wcc' }[os.platform()] || 'windows/wcc.exe'
const WCC = path.join(__dirname, '../node_modules/miniprogram-compiler/bin', PROGRAM)

/** Runs it over files of a folder; `error` is set where it does not run on this machine. */
function wcc(folder, names) {
  fs.chmodSync(WCC, 0o755)
  return spawnSync(WCC, ['-d', ...names], { cwd: folder, encoding: 'utf8', maxBuffer: 16 << 20 })
}

/** All WXML of a folder as one script, or `undefined` where wcc does not run. */
function compiledByWechat(folder) {
  const names = fs.readdirSync(folder, { recursive: true }).filter(file => /\.(wxml|wxs)$/.test(file) && !file.includes('node_modules'))
  const { error, status, stdout, stderr } = wcc(folder, names)
  if (error) {
    console.log(`skipped: wcc does not run here: ${error.message}`)
    return undefined
  }
  if (status !== 0) throw new Error(`wcc: ${stderr}`)
  return stdout
}

module.exports = { compiledByWechat, wcc }
