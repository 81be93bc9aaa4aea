'use strict'
// A null that reaches a text is the word "null" in WeChat: these tests would not see it, were not its own compiler asked.
const assert = require('node:assert/strict')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const vm = require('node:vm')
const { test } = require('node:test')
const { compileWithWcc } = require('../host/wcc')
const { studio, openPhone } = require('./harness')

const APP = {
  'app.json': '{ "pages": ["page"] }',
  'app.js': 'App({})',
  'page.json': '{}',
  'page.js': 'Page({ data: { given: "x", none: "" } })',
  'page.wxml': '<view>{{given}}</view><view>{{none}}</view><view>{{missing}}</view><view wx:if="{{none}}">hidden</view>',
  'page.wxss': '',
}
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hongyan-null-'))
process.on('exit', () => fs.rmSync(folder, { recursive: true }))
for (const [file, text] of Object.entries(APP)) fs.writeFileSync(path.join(folder, file), text)
const script = compileWithWcc(folder)

test('to WeChat’s compiler a null in a text is a word, and what is missing is nothing', { skip: !script }, () => {
  const context = vm.createContext({ console, setTimeout })
  context.window = context
  const tree = vm.runInContext(`${script};$gwx`, context)('page.wxml')({ given: 'x', none: null })
  assert.deepEqual(JSON.parse(JSON.stringify(tree.children.map(view => view.children))), [['x'], ['null'], ['']])
})

const shared = studio(folder)
test('a page that would show the word in WeChat fails its test', { skip: !script }, async t => {
  const phone = await openPhone(t, shared, undefined, 'alice')
  const said = phone.page.waitForEvent('console', message => message.type() === 'error')
  await phone.page.evaluate(() => getCurrentPages()[0].setData({ none: null }))
  phone.expected = /page\.wxml: WeChat draws "null", this host undefined/
  assert.match((await said).text(), phone.expected)
})
