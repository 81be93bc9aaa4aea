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

/** Of all text, as WCAG has it for letters of any size: what is disabled and what is a placeholder too. */
const LEAST_CONTRAST = 4.5

/**
 * Text on the page that stands out less from what is behind it, as the browser has computed both. axe-core leaves out what is disabled, placeholders,
 * and what it is not sure of.
 */
const faintTexts = page => page.evaluate(least => {
  const parse = color => {
    const match = /^rgba?\(([\d.]+), ([\d.]+), ([\d.]+)(?:, ([\d.]+))?\)$/.exec(color)
    if (!match) throw new Error(`a colour of another kind: ${color}`)
    return match.slice(1, 5).map((part, i) => part === undefined && i === 3 ? 1 : Number(part))
  }
  const over = ([r, g, b, a], [r2, g2, b2]) => [r * a + r2 * (1 - a), g * a + g2 * (1 - a), b * a + b2 * (1 - a)]
  const luminance = color => {
    const [r, g, b] = color.map(part => part / 255).map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const ratio = (one, other) => {
    const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a)
    return (light + 0.05) / (dark + 0.05)
  }
  /** The colour of `text` in `element` and of what is behind it, through every layer of the page and its opacity. */
  const seen = (element, text) => {
    const layers = []
    for (let at = element; at; at = at.parentElement) layers.unshift(at)
    const isDark = matchMedia('(prefers-color-scheme: dark)').matches
    let behind = isDark ? [18, 18, 18] : [255, 255, 255]
    const before = new Map()
    for (const layer of layers) {
      before.set(layer, behind)
      behind = over(parse(getComputedStyle(layer).backgroundColor), behind)
    }
    let letters = over(text, behind)
    for (const layer of layers.reverse()) {
      const opacity = Number(getComputedStyle(layer).opacity)
      const through = color => over([...color, opacity], before.get(layer))
      letters = through(letters)
      behind = through(behind)
    }
    return [letters, behind]
  }
  const found = []
  const check = (element, style, words) => {
    if (!words.trim()) return
    const [r, g, b, a] = parse(style.color)
    const isPseudo = style !== getComputedStyle(element)
    const [letters, behind] = seen(element, [r, g, b, isPseudo && style.opacity !== '' ? a * Number(style.opacity) : a])
    const contrast = ratio(letters, behind)
    if (contrast < least) found.push(`${contrast.toFixed(2)}: ${words.trim().slice(0, 40)} in ${element.outerHTML.slice(0, 100)}`)
  }
  const texts = new Set()
  for (const element of document.querySelectorAll('body, body *')) {
    if (element.closest('.unseen, noscript, script, style, svg, template') || !element.checkVisibility({ visibilityProperty: true })) continue
    const style = getComputedStyle(element)
    const own = [...element.childNodes].filter(node => node.nodeType === Node.TEXT_NODE).map(node => node.data).join(' ')
    if (own.trim()) texts.add(own.trim())
    check(element, { color: style.color, opacity: '' }, own)
    if (element.matches('input:not([type=checkbox], [type=file]), textarea')) {
      const placeholder = getComputedStyle(element, '::placeholder')
      if (element.value) check(element, { color: style.color, opacity: '' }, element.value)
      else check(element, placeholder, element.placeholder)
    }
    for (const pseudo of ['::before', '::after']) {
      const its = getComputedStyle(element, pseudo)
      const [, content] = /^"(.+)"$/.exec(its.content) ?? []
      if (content) check(element, its, content)
    }
  }
  return { found, checked: texts.size }
}, LEAST_CONTRAST)

/** Looks at a state: a picture for people, axe-core's judgement, in which nothing may be serious, and the contrast of all text. */
async function look(page, name) {
  await page.evaluate(() => Promise.allSettled(document.getAnimations().filter(({ effect }) => effect.getTiming().iterations !== Infinity).map(({ finished }) => finished)))
  fs.mkdirSync(SCREENSHOTS, { recursive: true })
  await page.screenshot({ path: path.join(SCREENSHOTS, `${name}.png`) })
  await page.evaluate(AXE)
  const { violations } = await page.evaluate(() => globalThis.axe.run({ resultTypes: ['violations'] }))
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
  assert.deepEqual(serious.map(({ id, nodes }) => `${id}: ${nodes.map(node => `${node.target} ${node.failureSummary}`).join('; ')}`), [], name)
  const { found, checked } = await faintTexts(page)
  assert.deepEqual(found, [], name)
  assert.ok(checked > 0, `${name}: no text was found`)
}

/** Nothing is wider than the window. */
async function fits(page) {
  const wide = await page.evaluate(() => [...document.querySelectorAll('body *')].filter(element => element.checkVisibility() && !element.closest('.unseen') && element.getBoundingClientRect().right > innerWidth + 0.5).map(element => element.outerHTML.slice(0, 120)))
  assert.deepEqual(wide, [])
}

module.exports = { AWAY, DARK, LIGHT, PHONE, Server, WIDE, browser, bubble, faintTexts, fits, longPress, look, online, openChat, person, plainClient, said, say, signedIn, write }
