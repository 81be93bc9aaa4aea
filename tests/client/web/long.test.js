'use strict'
/** Long chats: older pages, the pill, and what a new message costs. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { DARK, LIGHT, Server, browser, bubble, look, online, said, say, signedIn, write } = require('./harness')

const shared = browser()
const NO_LIMITS = ['limits.messages_per_second', 'limits.http_per_second'].flatMap(name => ['--set', `${name}=0`])
const texts = (from, to) => Array.from({ length: to - from }, (_, i) => `message ${from + i}. ${'A line of some length. '.repeat((from + i) % 9)}`)

const atEnd = page => page.waitForFunction(() => { const log = document.querySelector('#log'); return log.scrollHeight - log.scrollTop - log.clientHeight < 2 })
const scroll = (page, to) => page.evaluate(to => { document.querySelector('#log').scrollTop = to }, to)

test('older pages come without a jump, newer messages with a pill', async t => {
  const server = await Server.start(t, ...NO_LIMITS)
  const { page: bob } = await signedIn(t, shared, server, 'bob', DARK)
  await write(shared, server, 'alice', 'bob', texts(0, 400))
  await bob.click('#conversations a[data-peer=alice]')
  await bubble(bob, 'message 399.').waitFor()
  await atEnd(bob)

  // Up to the first one. What is in sight after a step stays where it is while more is drawn above. (Not the time over the topmost message: that
  // goes when a message comes before it.)
  const jumps = await bob.evaluate(async () => {
    const log = document.querySelector('#log')
    const first = () => [...document.querySelectorAll('.row')].find(row => row.getBoundingClientRect().bottom > log.getBoundingClientRect().top)
    const topOf = row => row.querySelector('.line').getBoundingClientRect().top
    const jumps = []
    const frame = () => new Promise(requestAnimationFrame)
    while (!document.querySelector('.row').textContent.includes('message 0.') || log.scrollTop > 0) {
      if (jumps.length > 1000) throw new Error('this does not come to an end')
      log.scrollTop -= 500
      const row = first()
      const top = topOf(row)
      await frame()
      await frame()
      jumps.push(row.isConnected ? Math.abs(topOf(row) - top) : Infinity)
    }
    return jumps
  })
  assert.ok(Math.max(...jumps) < 1, `a jump of ${Math.max(...jumps)} px`)
  assert.ok(await bob.locator('.row').count() <= 201)
  assert.equal((await said(bob))[0], texts(0, 1)[0])

  // Reading something old: what comes now does not move it.
  await scroll(bob, 3000)
  const top = () => bob.evaluate(() => {
    const log = document.querySelector('#log').getBoundingClientRect()
    const row = document.elementFromPoint(log.left + 100, log.top + 100).closest('.row')
    return [row.textContent, row.getBoundingClientRect().top]
  })
  const before = await top()
  await write(shared, server, 'alice', 'bob', texts(400, 403))
  await bob.getByText('3 new', { exact: true }).waitFor()
  assert.deepEqual(await top(), before)
  await look(bob, 'new-messages-dark')
  await bob.emulateMedia({ colorScheme: 'light' })
  await look(bob, 'new-messages-light')
  await bob.locator('#newer').click()
  await bubble(bob, 'message 402.').waitFor()
  assert.equal(await bob.locator('#newer').isVisible(), false)

  // At the end the page follows, in a window that has changed as well.
  await bob.setViewportSize({ width: 500, height: 400 })
  await atEnd(bob)
  await bob.fill('#composer textarea', 'one\ntwo\nthree\nfour')
  await atEnd(bob)
  await write(shared, server, 'alice', 'bob', texts(403, 405))
  await bubble(bob, 'message 404.').waitFor()
  await atEnd(bob)

  // Back from far above to the end by scrolling alone: nothing is missing between.
  await scroll(bob, 0)
  await bob.evaluate(async () => {
    const log = document.querySelector('#log')
    for (let still = 0, steps = 0; still < 5 && steps < 1000; steps++) {
      const before = [log.scrollTop, log.scrollHeight].join()
      log.scrollTop += 300
      await new Promise(requestAnimationFrame)
      still = [log.scrollTop, log.scrollHeight].join() === before ? still + 1 : 0
    }
  })
  const tail = (await said(bob)).slice(-50)
  assert.deepEqual(tail, texts(355, 405))
})

test('in a chat of 5 000 messages a new one takes at most a frame', async t => {
  const server = await Server.start(t, ...NO_LIMITS)
  const somebody = await signedIn(t, shared, server, 'bob', LIGHT)
  const { page: bob, context } = somebody
  await write(shared, server, 'alice', 'bob', texts(0, 5000))
  await bob.click('#conversations a[data-peer=alice]')
  await bubble(bob, 'message 4999.').waitFor()
  await bob.evaluate(async () => {
    const log = document.querySelector('#log')
    for (let steps = 0; !document.querySelector('.row').textContent.includes('message 0.'); steps++) {
      if (steps > 2000) throw new Error('this does not come to an end')
      log.scrollTop = 0
      await new Promise(requestAnimationFrame)
    }
  })
  await bob.keyboard.press('Escape')
  await bob.locator('#composer textarea').focus()
  await say(bob, 'to the end')
  await bubble(bob, 'to the end').waitFor()

  // From the key to the message laid out.
  const own = await bob.evaluate(async () => {
    const field = document.querySelector('#composer textarea')
    const log = document.querySelector('#log')
    const times = []
    for (let i = 0; i < 60; i++) {
      field.value = `own ${i}`
      field.dispatchEvent(new Event('input'))
      log.getBoundingClientRect()
      const start = performance.now()
      field.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true }))
      log.getBoundingClientRect()
      times.push(performance.now() - start)
      if (!log.lastElementChild.textContent.includes(`own ${i}`)) throw new Error(`own ${i} is not there`)
      await new Promise(requestAnimationFrame)
    }
    return times.sort((a, b) => a - b)
  })
  await bob.waitForFunction(() => !document.querySelector('[data-state=sending]'))
  const [median, worst] = [own[own.length >> 1], own.at(-1)]
  console.log(`figure: web: append to 5 000 messages, from the key to the layout: median ${median.toFixed(1)} ms, worst of ${own.length} ${worst.toFixed(1)} ms`)
  assert.ok(median <= 16, `${median} ms`)
  assert.ok(await bob.locator('.row').count() <= 201)
  await bob.reload()
  await online(bob)
  assert.equal(context.pages().length, 1)
})

test('a list of 150 chats grows where it is scrolled to', async t => {
  const server = await Server.start(t, ...NO_LIMITS)
  const peers = Array.from({ length: 150 }, (_, i) => `peer${i}`)
  await write(shared, server, 'bob', peers, texts(0, 150))
  const { page: bob } = await signedIn(t, shared, server, 'bob', LIGHT)
  const rows = bob.locator('#conversations li')
  const count = number => bob.waitForFunction(number => document.querySelectorAll('#conversations li').length === number, number)
  await count(100)
  await rows.last().scrollIntoViewIfNeeded()
  await count(150)
})
