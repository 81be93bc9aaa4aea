'use strict'
// The real server, the mini-program built for Chromium, and people with phones.
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { after, before } = require('node:test')
const { AWAY, launch, openPage } = require('../browser')
const { build } = require('../host/build')
const { serve } = require('../host/serve')
const { ROOT, Server } = require('../server')

const LIGHT = { colorScheme: 'light', language: 'zh_CN' }
const DARK = { colorScheme: 'dark', language: 'en' }
/** What a server with notices is started with. */
const TEMPLATE = 'dev-notice'
const NOTICES = ['--set', `notice.template_id=${TEMPLATE}`, '--set', 'notice.fields=thing1={sender},number2={count}']

/** The mini-program, or another one, in one Chromium, for the tests of a file. */
function studio(source = path.join(ROOT, 'miniprogram')) {
  const shared = {}
  before(async () => {
    shared.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hongyan-host-'))
    await build(source, shared.folder, { replace: { 'config.js': `module.exports = { url: globalThis.hostSettings.url, devUser: '' }` } })
    shared.site = await serve(shared.folder)
    shared.browser = await launch()
  })
  after(async () => {
    await shared.browser?.close()
    shared.site?.close()
    if (shared.folder) fs.rmSync(shared.folder, { recursive: true })
  })
  return shared
}

/** Somebody's phone, with the mini-program open: a `wx` call that does not exist fails the test, as all that its console says against it. */
async function openPhone(t, shared, server, user, options = {}) {
  const { colorScheme, language, path: start = '', settings = {}, width = 375, height = 667 } = { ...LIGHT, ...options }
  const phone = await openPage(t, shared.browser, {
    viewport: { width, height }, deviceScaleFactor: 2, hasTouch: true, isMobile: true, colorScheme, locale: language.replace('_', '-'), timezoneId: 'Asia/Shanghai',
  })
  await phone.page.addInitScript((given) => { globalThis.hostSettings = given }, { user, language, url: server?.url, ...settings })
  await phone.page.goto(`${shared.site.url}/#${start}`)
  return phone
}

module.exports = { AWAY, DARK, LIGHT, NOTICES, ROOT, Server, TEMPLATE, openPhone, studio }
