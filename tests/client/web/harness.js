'use strict'
/** The real binary, Chromium, and people in it. */

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { after, before } = require('node:test')
const { AWAY, launch, openPage, plainClient, write } = require('../browser')
const { ROOT, Server } = require('../server')

const SCREENSHOTS = path.join(ROOT, 'target/screenshots/web')
const AXE = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8')

const LIGHT = { colorScheme: 'light', locale: 'zh-CN' }
const DARK = { colorScheme: 'dark', locale: 'en-US' }
const WIDE = { width: 1100, height: 760 }
const PHONE = { viewport: { width: 360, height: 640 }, hasTouch: true, isMobile: true }

/** One browser for the tests of a file. */
function browser() {
  const shared = {}
  before(async () => { shared.browser = await launch() })
  after(() => shared.browser?.close())
  return shared
}

/** Somebody's own browser, at the client's page. */
async function person(t, { browser }, server, options) {
  const somebody = await openPage(t, browser, { viewport: WIDE, ...options })
  await somebody.page.goto(server.url)
  return somebody
}

/** Signs in and gives the page of it. */
async function signedIn(t, shared, server, name, options) {
  const somebody = await person(t, shared, server, options)
  await somebody.page.fill('#credential', name)
  await somebody.page.keyboard.press('Enter')
  await online(somebody.page)
  return somebody
}

/** Where a server was away for long, the next try may be half a minute off. */
const online = page => page.locator('body[data-state=online]').waitFor({ timeout: 40_000 })

async function openChat(page, peer) {
  await page.click('#new-chat')
  await page.fill('#new-chat-openid', peer)
  await page.keyboard.press('Enter')
  await page.locator('#app[data-view=room]').waitFor()
}

async function say(page, words) {
  await page.fill('#composer textarea', words)
  await page.press('#composer textarea', 'Enter')
}

/** A finger that rests on something. */
async function longPress({ context, page }, locator) {
  const { x, y, width, height } = await locator.boundingBox()
  const touch = await context.newCDPSession(page)
  await touch.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: [{ x: x + width / 2, y: y + height / 2 }] })
  await page.waitForTimeout(700)
  await touch.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] })
}

/** The bubbles with these words. */
const bubble = (page, words) => page.locator('.bubble', { hasText: words })

/** All that is said on screen, in order. */
const said = page => page.locator('.bubble').evaluateAll(bubbles => bubbles.map(bubble => [...bubble.childNodes].slice(1).map(part => part.textContent).join('')))

/** Looks at a state: a picture for people, and axe-core's judgement, in which nothing may be serious. */
async function look(page, name) {
  await page.evaluate(() => Promise.allSettled(document.getAnimations().filter(({ effect }) => effect.getTiming().iterations !== Infinity).map(({ finished }) => finished)))
  fs.mkdirSync(SCREENSHOTS, { recursive: true })
  await page.screenshot({ path: path.join(SCREENSHOTS, `${name}.png`) })
  await page.evaluate(AXE)
  const { violations } = await page.evaluate(() => globalThis.axe.run({ resultTypes: ['violations'] }))
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
  assert.deepEqual(serious.map(({ id, nodes }) => `${id}: ${nodes.map(node => `${node.target} ${node.failureSummary}`).join('; ')}`), [], name)
}

/** Nothing is wider than the window. */
async function fits(page) {
  const wide = await page.evaluate(() => [...document.querySelectorAll('body *')].filter(element => element.checkVisibility() && !element.closest('.unseen') && element.getBoundingClientRect().right > innerWidth + 0.5).map(element => element.outerHTML.slice(0, 120)))
  assert.deepEqual(wide, [])
}

module.exports = { AWAY, DARK, LIGHT, PHONE, Server, WIDE, browser, bubble, fits, longPress, look, online, openChat, person, plainClient, said, say, signedIn, write }
