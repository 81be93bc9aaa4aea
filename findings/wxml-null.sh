#!/usr/bin/env bash
# WeChat's WXML compiler draws a null as the word "null"; glass-easel, WeChat's own newer component framework, draws nothing.
#
# Expected: the same template over the same data shows the same text in both, as both are WeChat's.
# Found:    wcc (in miniprogram-compiler 0.2.3) makes "null" of {{x}} with null and nothing of undefined; glass-easel 0.12.1 makes nothing
#           of either. Tests in a browser over glass-easel therefore pass where phones show "null".
# Needs Node.js 20 or newer with npm; runs in a temporary folder (Linux on x86-64, for wcc's binary).
set -euo pipefail
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
cd "$temp"
npm install --silent --no-audit --no-fund --prefix . miniprogram-compiler@0.2.3 glass-easel@0.12.1 glass-easel-template-compiler@0.12.1 >/dev/null
printf '<view>{{x}}</view>\n' >page.wxml
wcc=node_modules/miniprogram-compiler/bin/linux/wcc
chmod +x "$wcc"
"$wcc" page.wxml >wcc.js
node - <<'JS'
const fs = require('node:fs')
const vm = require('node:vm')
const { TmplGroup } = require('glass-easel-template-compiler')
const glass = require('glass-easel')

const context = vm.createContext({ window: {}, console })
vm.runInContext(fs.readFileSync('wcc.js', 'utf8') + '\nthis.draw = $gwx("page.wxml")', context)
const byWcc = (data) => context.draw(data, {}, {}).children[0].children.map(String).join('')

const group = new TmplGroup()
group.addTmpl('page', fs.readFileSync('page.wxml', 'utf8'))
const groupList = vm.runInThisContext(`(${group.getTmplGenObjectGroups()})`)
const byGlassEasel = (data) => {
  const space = new glass.ComponentSpace()
  const definition = space.defineComponent({ is: 'page', template: { groupList, content: groupList.page }, data })
  const root = glass.Component.createWithContext('root', definition.general(), new glass.EmptyBackendContext())
  return text(root.getShadowRoot())
}
const text = (node) => (node.childNodes || []).map((child) => (child.childNodes ? text(child) : child.textContent)).join('')

console.log(`wcc ${context.window.__wcc_version__}, glass-easel 0.12.1`)
let as_found = true
for (const [name, x, wcc, easel] of [['null', null, 'null', ''], ['undefined', undefined, '', '']]) {
  const seen = [byWcc({ x }), byGlassEasel({ x })]
  console.log(`{{x}} with ${name}: wcc draws ${JSON.stringify(seen[0])}, glass-easel ${JSON.stringify(seen[1])}`)
  as_found &&= seen[0] === wcc && seen[1] === easel
}
process.exit(as_found ? 0 : 1)
JS
