'use strict'
// What people do on a phone, and what they see there.
const assert = require('node:assert/strict')
const { write } = require('../browser')

const CONVERSATION = '.conversation-list--row'
const MESSAGE = '.chat-room--row'
const BUBBLE = '.chat-room--bubble'
const FIELD = '.chat-room--field textarea'
const LIST = '.chat-room--list'

/** On screen, and not on a page below it. */
const seen = (page, selector) => page.locator(`.wx-page:not([hidden]) ${selector}`)

const conversation = (page, name) => seen(page, CONVERSATION).filter({ hasText: name })
const bubble = (page, text) => seen(page, BUBBLE).filter({ hasText: text })
const message = (page, text) => seen(page, MESSAGE).filter({ hasText: text })

/** All bubbles' texts, from the top. */
const said = (page) => seen(page, BUBBLE).evaluateAll((nodes) => nodes.map((node) => node.textContent))

const title = (page, text) => page.waitForFunction((wanted) => document.title === wanted, text)
const online = (page) => page.waitForFunction(() => getApp().chat.state === 'online')

async function openChat(page, name) {
  await conversation(page, name).tap()
  await seen(page, FIELD).waitFor()
}

async function say(page, text) {
  await seen(page, FIELD).fill(text)
  await seen(page, FIELD).press('Enter')
  await bubble(page, text).first().waitFor()
}

const back = (page) => page.locator('.wx-back').tap()
const tab = (page, text) => page.locator('.wx-tab', { hasText: text }).tap()

/** Presses a bubble for long, and takes what the menu offers. */
async function hold(page, target) {
  await target.scrollIntoViewIfNeeded()
  const box = await target.boundingBox()
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2)
  await page.mouse.down()
  await page.locator('.chat-room--menu, .wx-sheet').waitFor()
  await page.mouse.up()
}

/** Says yes, or no, to what WeChat's dialog asks. */
const answer = (page, yes) => page.locator(`.wx-modal .${yes ? 'confirm' : 'cancel'}`).tap()

/** The menu of a bubble, as it stands there. */
const menu = (page) => seen(page, '.chat-room--action').allTextContents()
const act = (page, text) => seen(page, '.chat-room--action').filter({ hasText: text }).tap()

/** Drags a finger by so many pixels: down where `dy` is positive. */
async function drag(page, target, dy) {
  const box = await target.boundingBox()
  const x = box.x + box.width / 2
  const from = dy > 0 ? box.y + 20 : box.y + box.height - 20
  const touch = await page.context().newCDPSession(page)
  await touch.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: [{ x, y: from }] })
  for (let step = 1; step <= 5; step += 1) {
    await touch.send('Input.dispatchTouchEvent', { type: 'touchMove', touchPoints: [{ x, y: from + dy * step / 5 }] })
  }
  await touch.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] })
  await touch.detach()
}

/** The next frame to the server with this in it. */
const frameSent = (page, text) => page.evaluate((wanted) => new Promise((resolve) => {
  const { send } = WebSocket.prototype
  WebSocket.prototype.send = function (frame) {
    if (frame.includes(wanted)) resolve(frame)
    send.call(this, frame)
  }
}), text)

/** Scrolls the room by so many pixels. */
const scroll = (page, dy) => seen(page, LIST).evaluate((node, by) => { node.scrollTop += by }, dy)

/**
 * Scrolls the room to `top` (from its end where it is negative) and waits for other rows at that end. Gives by how many pixels the row that was
 * there moved meanwhile, in any frame.
 */
const scrollForMore = (page, top) => seen(page, LIST).evaluate((list, wanted) => new Promise((resolve, reject) => {
  const ends = () => { const rows = list.querySelectorAll('.chat-room--row'); return wanted < 0 ? rows[rows.length - 1] : rows[0] }
  list.scrollTop = wanted < 0 ? list.scrollHeight - list.clientHeight + wanted : wanted
  const row = ends()
  const bubble = row.querySelector('.chat-room--bubble')
  const place = () => bubble.getBoundingClientRect().y
  const before = place()
  const deadline = performance.now() + 10_000
  let most = 0
  let after = 0
  const look = () => {
    // What was dropped is not on the screen.
    if (row.isConnected) most = Math.max(most, Math.abs(place() - before))
    after += ends() === row ? 0 : 1
    if (after > 5) resolve(Math.round(most))
    else if (performance.now() > deadline) reject(new Error(`no more rows at ${list.scrollTop} of ${list.scrollHeight}`))
    else requestAnimationFrame(look)
  }
  requestAnimationFrame(look)
}), top)

/** How far the room is above its end. */
const above = (page) => seen(page, LIST).evaluate((node) => node.scrollHeight - node.scrollTop - node.clientHeight)
const atEnd = (page) => page.waitForFunction((selector) => {
  const node = document.querySelector(selector)
  return node.scrollHeight - node.scrollTop - node.clientHeight < 2
}, `.wx-page:not([hidden]) ${LIST}`)

/** Nothing is wider than the screen. */
async function fits(page) {
  const wide = await page.evaluate(() => [...document.querySelectorAll('.wx-page:not([hidden]) *')]
    .filter((node) => node.checkVisibility() && node.getBoundingClientRect().right > innerWidth + 0.5)
    .map((node) => node.outerHTML.slice(0, 120)))
  assert.deepEqual(wide, [])
}

module.exports = { FIELD, LIST, above, act, answer, atEnd, back, bubble, conversation, drag, fits, frameSent, hold, menu, message, online, openChat, said, say, scroll, scrollForMore, seen, tab, title, write }
