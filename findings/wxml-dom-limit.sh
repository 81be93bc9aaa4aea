#!/usr/bin/env bash
# A template of WeChat's compiler draws no more than 15 999 elements, and nobody is told: the rest of a long list is not there.
#
# Expected: a list of any length is drawn, slowly if it must be, or an error tells the page that it is too long.
# Found:    what wcc (in miniprogram-compiler 0.2.3) makes of a template counts its elements, stops at the 16 000th, returns what there is until
#           then, and says so by console.log only. In a list with ten elements a row that is 1 600 rows. glass-easel 0.12.1 draws all of them, so
#           that a test over it sees a whole list.
# Needs Node.js 20 or newer with npm; runs in a temporary folder (Linux on x86-64, for wcc's binary).
set -euo pipefail
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
cd "$temp"
npm install --silent --no-audit --no-fund --prefix . miniprogram-compiler@0.2.3 glass-easel@0.12.1 glass-easel-template-compiler@0.12.1 >/dev/null
printf '<view wx:for="{{rows}}" wx:key="*this">{{item}}</view>\n' >page.wxml
wcc=node_modules/miniprogram-compiler/bin/linux/wcc
chmod +x "$wcc"
"$wcc" page.wxml >wcc.js
node - <<'JS'
const fs = require('node:fs')
const vm = require('node:vm')
const { TmplGroup } = require('glass-easel-template-compiler')
const glass = require('glass-easel')

const said = []
const context = vm.createContext({ window: {}, console: { log: (...words) => said.push(words.join(' ')) } })
vm.runInContext(fs.readFileSync('wcc.js', 'utf8') + '\nthis.draw = $gwx("page.wxml")', context)
const rowsOf = (node) => (node.children || []).reduce((sum, child) => sum + (child.tag === 'wx-view' ? 1 : child.children ? rowsOf(child) : 0), 0)

const group = new TmplGroup()
group.addTmpl('page', fs.readFileSync('page.wxml', 'utf8'))
const groupList = vm.runInThisContext(`(${group.getTmplGenObjectGroups()})`)
const byGlassEasel = (data) => {
  const space = new glass.ComponentSpace()
  space.setGlobalUsingComponent('view', space.defineComponent({ is: 'view', template: undefined }))
  const definition = space.defineComponent({ is: 'page', template: { groupList, content: groupList.page }, data })
  const root = glass.Component.createWithContext('root', definition.general(), new glass.EmptyBackendContext())
  return (function count(node) { return (node.childNodes || []).reduce((sum, child) => sum + (child.is === 'view' ? 1 : count(child)), 0) })(root.getShadowRoot())
}

console.log(`wcc ${context.window.__wcc_version__}, glass-easel 0.12.1`)
let as_found = true
for (const [length, drawn, is_told] of [[15_998, 15_998, false], [20_000, 15_999, true]]) {
  said.length = 0
  const rows = Array.from({ length }, (_, index) => index)
  const seen = [rowsOf(context.draw({ rows }, {}, {})), byGlassEasel({ rows })]
  console.log(`a list of ${length}: wcc draws ${seen[0]} rows${said.length ? `, console.log: ${said.join()}` : ''}; glass-easel ${seen[1]}`)
  as_found &&= seen[0] === drawn && seen[1] === length && said.some((text) => text.includes('Dom limit exceeded')) === is_told
}
process.exit(as_found ? 0 : 1)
JS
