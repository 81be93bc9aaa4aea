'use strict'
// WeChat's own compiler, wcc, out of the npm package miniprogram-compiler.
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')

const WCC = path.join(__dirname, '../node_modules/miniprogram-compiler/bin', { linux: 'linux/wcc', darwin: 'mac/wcc' }[os.platform()] || 'windows/wcc.exe')

/** Runs wcc in a folder. `error` is set where the binary does not run on this machine. */
function wcc(folder, args) {
  fs.chmodSync(WCC, 0o755)
  return spawnSync(WCC, args, { cwd: folder, encoding: 'utf8', maxBuffer: 64 << 20 })
}

/** The script that defines `$gwx` over every template of a mini-program; empty where wcc does not run here. */
function compileWithWcc(root) {
  const files = fs.readdirSync(root, { recursive: true }).filter((file) => /\.(wxml|wxs)$/.test(file) && !file.includes('node_modules'))
  const { error, status, stdout, stderr } = wcc(root, files)
  if (error) {
    console.log(`skipped: what the pages draw is not held against WeChat's compiler: wcc does not run here: ${error.message}`)
    return ''
  }
  if (status !== 0) throw new Error(`wcc: ${stderr}`)
  return stdout
}

module.exports = { compileWithWcc, wcc }
