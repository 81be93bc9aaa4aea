'use strict'
// Every state as people see it, in light and in dark, for target/screenshots/pages/index.html; and nothing is wider than the screen.
const fs = require('node:fs')
const path = require('node:path')
const { after, before, test } = require('node:test')
const { AWAY, DARK, LIGHT, NOTICES, ROOT, Server, openPhone, studio } = require('./harness')
const { FIELD, act, answer, atEnd, back, bubble, conversation, fits, hold, message, online, openChat, say, scroll, seen, tab, title, write } = require('./people')

const shared = studio()
const FOLDER = path.join(ROOT, 'target/screenshots/pages')
const LOOKS = { light: LIGHT, dark: DARK }
const NARROW = { width: 320, height: 568 }
const room = (peer) => `/pages/chat/chat?peer=${peer}`

before(() => fs.rmSync(FOLDER, { recursive: true, force: true }))
after(() => {
  const names = fs.readdirSync(FOLDER).filter((file) => file.endsWith('.png')).sort()
  const figures = names.map((file) => `<figure><img src="${file}" loading="lazy"><figcaption>${file.replace('.png', '')}</figcaption></figure>`)
  fs.writeFileSync(path.join(FOLDER, 'index.html'), `<!doctype html><meta charset="utf-8"><title>The mini-program</title>
<style>body{display:flex;flex-wrap:wrap;gap:24px;margin:24px;background:#999;font:14px sans-serif}figure{margin:0}img{width:300px;display:block}</style>
${figures.join('\n')}\n`)
})

async function look(page, name) {
  await page.evaluate(() => Promise.allSettled(document.getAnimations().filter(({ effect }) => effect.getTiming().iterations !== Infinity).map(({ finished }) => finished)))
  fs.mkdirSync(FOLDER, { recursive: true })
  await page.screenshot({ path: path.join(FOLDER, `${name}.png`) })
  await fits(page)
}

/** As a phone whose user wants large letters: those grow, and nothing else does. */
const enlarge = (page) => page.evaluate(() => {
  const texts = [...document.querySelectorAll('.wx-page:not([hidden]) *')].map((node) => [node, parseFloat(getComputedStyle(node).fontSize)])
  for (const [node, size] of texts) node.style.fontSize = `${size * 1.4}px`
})

const PEOPLE = {
  alice: '爱丽丝',
  xia: '林小夏',
  max: 'Maximilian-Alexander Wolkenstein',
  word: 'Donaudampfschifffahrtskapitänin',
  panda: '🐼 熊猫馆',
  oUpF8uMuAJO_M2pxb1Q9zNjWeS6o: '',
  wei: '张伟',
  nana: 'Nana',
}

/** A picture for an avatar: hills under a sky of some colour, as base64. */
async function avatar(hue) {
  const page = await shared.browser.newPage()
  const uri = await page.evaluate((degrees) => {
    const canvas = document.createElement('canvas')
    canvas.width = canvas.height = 132
    const paint = canvas.getContext('2d')
    const disc = (x, y, radius, colour) => { paint.fillStyle = colour; paint.beginPath(); paint.arc(x, y, radius, 0, 7); paint.fill() }
    const sky = paint.createLinearGradient(0, 0, 0, 132)
    sky.addColorStop(0, `hsl(${degrees} 70% 60%)`)
    sky.addColorStop(1, `hsl(${degrees + 40} 80% 85%)`)
    paint.fillStyle = sky
    paint.fillRect(0, 0, 132, 132)
    disc(94, 40, 16, '#fff8')
    disc(20, 150, 80, `hsl(${degrees + 150} 35% 45%)`)
    disc(120, 160, 75, `hsl(${degrees + 150} 40% 35%)`)
    return canvas.toDataURL('image/png')
  }, hue)
  await page.close()
  return uri.slice(uri.indexOf(',') + 1)
}

/** A server where Alice knows people, and some of them wrote to Alice. */
async function town(t) {
  const server = await Server.start(t, '--set', 'limits.messages_per_second=0', ...NOTICES)
  for (const [openid, nickname] of Object.entries(PEOPLE)) {
    if (nickname) await server.request('PUT', '/v1/me', { as: openid, body: { nickname } })
  }
  await server.request('PUT', '/v1/me', { as: 'xia', body: { avatar: await avatar(200) } })
  await server.request('PUT', '/v1/me', { as: 'wei', body: { avatar: await avatar(20) } })
  await server.request('PUT', '/v1/blocks/alice', { as: 'nana' })
  const to = (from, ...texts) => write(shared, server, from, 'alice', texts)
  await to('wei', '周末爬山去吗？')
  await write(shared, server, 'alice', 'wei', ['好啊，几点出发？'])
  await to('oUpF8uMuAJO_M2pxb1Q9zNjWeS6o', { type: 'image', message: 'x' })
  await to('panda', ...Array.from({ length: 12 }, (_, index) => `🎋 ${index}`))
  await to('word', 'Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz, oder wie das heißt')
  await to('max', ...Array.from({ length: 120 }, (_, index) => `Mail ${index}: see https://example.com/a/very/long/path/without/any/break?query=${'x'.repeat(60)}`))
  await to('xia', '在吗？')
  await server.request('PUT', '/v1/conversations/panda/settings', { as: 'alice', body: { muted: true } })
  await server.request('PUT', '/v1/conversations/wei/settings', { as: 'alice', body: { muted: true } })
  return server
}

for (const [name, options] of Object.entries(LOOKS)) {
  test(`lists in ${name}`, async (t) => {
    const server = await town(t)
    const empty = await openPhone(t, shared, server, 'newcomer', options)
    await seen(empty.page, '.invite').waitFor()
    await look(empty.page, `list-empty-${name}`)
    await empty.page.close()

    const alice = await openPhone(t, shared, server, 'alice', { ...options, settings: { safeBottom: 0 } })
    alice.expected = AWAY
    const { page } = alice
    await conversation(page, '林小夏').waitFor()
    await conversation(page, '张伟').waitFor()
    await page.evaluate(() => getApp().chat.send('nana', 'You do not want to hear from me?'))
    await conversation(page, 'Nana').locator('.conversation-list--failed').waitFor()
    await look(page, `list-${name}`)
    await hold(page, conversation(page, '张伟'))
    await look(page, `list-menu-${name}`)
    await page.locator('.wx-sheet button').nth(2).click()
    await page.locator('.wx-modal').waitFor()
    await look(page, `list-remove-${name}`)
    await answer(page, false)
    await page.evaluate(() => {
      getApp().drafts.set('wei', '我大概七点半到，你们先吃，不用等我，路上有点堵')
      getApp().drafts.set('oNobodyHasWrittenHereYet_1aB2', 'Hi! We met at the')
    })
    await conversation(page, '路上有点堵').waitFor()
    await look(page, `list-draft-${name}`)
    await enlarge(page)
    await look(page, `list-large-${name}`)

    const narrow = await openPhone(t, shared, server, 'alice', { ...options, ...NARROW })
    await conversation(narrow.page, '林小夏').waitFor()
    await look(narrow.page, `list-narrow-${name}`)
    await narrow.page.close()

    await seen(page, '.search').tap()
    await look(page, `search-empty-${name}`)
    await seen(page, '.field input').fill('ma')
    await seen(page, '.found .row').nth(1).waitFor()
    await look(page, `search-${name}`)
    await seen(page, '.field input').fill('哈哈哈')
    await seen(page, '.none').waitFor()
    await enlarge(page)
    await look(page, `search-none-large-${name}`)
    await back(page)

    await server.kill()
    await page.evaluate(() => getApp().chat.send('wei', '八点？'))
    await seen(page, '.notice--text').waitFor()
    await look(page, `list-offline-${name}`)
  })

  test(`rooms in ${name}`, async (t) => {
    const server = await town(t)
    const alice = await openPhone(t, shared, server, 'alice', { ...options, path: room('xia'), settings: { safeBottom: 34 } })
    alice.expected = AWAY
    const { page } = alice
    await bubble(page, '在吗？').waitFor()
    await say(page, '在的！刚到家 🏠')
    await write(shared, server, 'xia', 'alice', ['那个餐厅的地址我发你：https://maps.example.com/place/42?from=chat，记得订位', '👍🏽👨‍👩‍👧‍👦🎉'])
    await say(page, '好的，我看看。顺便问一下，明天下午你有没有空？我想约你一起去看那个新开的展览，听说非常不错，而且周三免费。')
    await bubble(page, '👍🏽').waitFor()
    await say(page, 'slip of the tongue')
    await message(page, 'slip of the tongue').locator('.chat-room--sending').waitFor({ state: 'detached' })
    await hold(page, bubble(page, 'slip of the tongue'))
    await look(page, `room-menu-${name}`)
    await seen(page, '.chat-room--action').last().tap()
    await seen(page, '.chat-room--note').waitFor()
    const { page: xia } = await openPhone(t, shared, server, 'xia', { ...options, path: room('alice') })
    await bubble(xia, 'Supercali').or(bubble(xia, '好的')).waitFor()
    await message(page, '好的').locator('.chat-room--mark').waitFor()
    await xia.close()
    await write(shared, server, 'xia', 'alice', ['Supercalifragilisticexpialidocious'.repeat(3)])
    await bubble(page, 'Supercali').waitFor()
    await look(page, `room-${name}`)
    await write(shared, server, 'alice', 'xia', ['\n多行\n消息\n', 'ok'])
    await page.evaluate(() => host.keyboard(291))
    await seen(page, FIELD).tap()
    await seen(page, FIELD).fill('正在写一条比较长的消息，看看输入框会不会自己变高，按钮会不会对齐')
    await look(page, `room-keyboard-${name}`)
    await seen(page, '.chat-room--emoji').tap()
    await seen(page, '.emoji-panel--emoji').nth(3).tap()
    await look(page, `room-emoji-${name}`)
    await page.evaluate(() => host.keyboard(0))
    await seen(page, '.chat-room--list').tap({ position: { x: 5, y: 5 } })
    await seen(page, FIELD).fill('')

    await hold(page, bubble(page, '👍🏽'))
    await seen(page, '.chat-room--action').nth(2).tap()
    await message(page, '好的').tap({ position: { x: 20, y: 12 } })
    await look(page, `room-several-${name}`)
    await seen(page, '.chat-room--leave').tap()

    await scroll(page, -300)
    await page.waitForFunction(() => !getCurrentPages()[0].data.follow)
    await write(shared, server, 'xia', 'alice', ['还有', '一件事'])
    await seen(page, '.chat-room--latest').waitFor()
    await look(page, `room-pill-${name}`)
    await seen(page, '.chat-room--latest').tap()

    await server.kill()
    await say(page, '没有网络的时候也能写')
    await seen(page, '.notice--text').waitFor()
    await look(page, `room-offline-${name}`)
    await hold(page, bubble(page, '没有网络的时候也能写'))
    await look(page, `room-waiting-${name}`)
  })

  test(`other rooms in ${name}`, async (t) => {
    const server = await town(t)
    const { page: blocked } = await openPhone(t, shared, server, 'alice', { ...options, path: room('nana') })
    await title(blocked, 'Nana')
    await seen(blocked, '.empty-state--text').waitFor()
    await look(blocked, `room-empty-${name}`)
    await say(blocked, 'Hello?')
    await message(blocked, 'Hello?').locator('.chat-room--failed').waitFor()
    await look(blocked, `room-refused-${name}`)
    await hold(blocked, bubble(blocked, 'Hello?'))
    await look(blocked, `room-failed-${name}`)
    await blocked.locator('.chat-room--curtain').tap({ position: { x: 5, y: 100 } })
    await message(blocked, 'Hello?').locator('.chat-room--failed').tap()
    await blocked.locator('.wx-modal').waitFor()
    await look(blocked, `room-retry-${name}`)
    await answer(blocked, false)
    await message(blocked, 'Hello?').locator('.chat-room--failed').waitFor()
    await blocked.setViewportSize(NARROW)
    await enlarge(blocked)
    await hold(blocked, bubble(blocked, 'Hello?'))
    await look(blocked, `room-menu-large-${name}`)

    const { page: long } = await openPhone(t, shared, server, 'alice', { ...options, ...NARROW, path: room('max') })
    await bubble(long, 'Mail 119').waitFor()
    await seen(long, '.chat-room--unread').waitFor()
    await look(long, `room-narrow-${name}`)
    await seen(long, '.chat-room--unread').tap()
    await seen(long, '.chat-room--new').waitFor()
    await look(long, `room-unread-${name}`)
    await write(shared, server, 'max', 'alice', ['从前有座山，山里有座庙，庙里有个老和尚，给小和尚讲故事。'.repeat(60)])
    await seen(long, '.chat-room--latest').tap()
    await bubble(long, '从前').waitFor()
    await atEnd(long)
    await look(long, `room-long-${name}`)
    await bubble(long, '从前').locator('.chat-room--whole').tap()
    await seen(long, '.piece').waitFor()
    await look(long, `message-${name}`)
    await enlarge(long)
    await look(long, `message-large-${name}`)

    const { page: tablet } = await openPhone(t, shared, server, 'alice', { ...options, width: 820, height: 600, path: room('max') })
    await bubble(tablet, 'Mail 119').waitFor()
    await look(tablet, `room-tablet-${name}`)
    await message(tablet, 'Mail 119').locator('.chat-room--face').tap()
    await seen(tablet, '.write').waitFor()
    await look(tablet, `person-tablet-${name}`)

    const { page: person } = await openPhone(t, shared, server, 'alice', { ...options, path: '/pages/person/person?openid=word' })
    await seen(person, '.name').filter({ hasText: 'Donau' }).waitFor()
    await person.locator('wx-switch[aria-disabled="true"]').waitFor({ state: 'detached' })
    await look(person, `person-${name}`)
    await person.locator('wx-switch').nth(2).tap()
    await look(person, `person-block-${name}`)
    await answer(person, true)
    await person.locator('wx-switch[aria-checked="true"]').waitFor()
    await person.setViewportSize(NARROW)
    await enlarge(person)
    await look(person, `person-large-${name}`)
    await person.evaluate(() => wx.navigateTo({ url: '/pages/blocked/blocked' }))
    await seen(person, '.unblock').waitFor()
    await look(person, `blocked-${name}`)

    // Nothing is below it, as where a notice opens it; and then what came meanwhile.
    const { page: fresh } = await openPhone(t, shared, server, 'alice', { ...options, path: room('xia') })
    await bubble(fresh, '在吗？').waitFor()
    await fresh.locator('.wx-home').tap()
    await write(shared, server, 'xia', 'alice', ['在忙吗？', '忙完了给我打个电话，有件事想跟你说'])
    await openChat(fresh, '林小夏')
    await seen(fresh, '.chat-room--new').waitFor()
    await look(fresh, `room-new-${name}`)
    await back(fresh)
    await conversation(fresh, '张伟').tap()
    await fresh.locator('.wx-sheet').waitFor()
    await look(fresh, `prompt-${name}`)

    // A day later.
    const { page: old } = await openPhone(t, shared, server, 'alice', { ...options, path: room('wei') })
    await bubble(old, '好啊').waitFor()
    await old.clock.setFixedTime(Date.now() + 86_400_000)
    await old.evaluate(() => getCurrentPages()[0].render())
    await seen(old, '.chat-room--time').first().waitFor()
    await look(old, `room-yesterday-${name}`)
  })

  test(`profiles and errors in ${name}`, async (t) => {
    const server = await town(t)
    const { page } = await openPhone(t, shared, server, 'alice', options)
    await online(page)
    await tab(page, name === 'light' ? '我' : 'Me')
    await page.waitForFunction(() => getCurrentPages()[0].data.nickname)
    await look(page, `profile-${name}`)
    await seen(page, 'wx-switch').tap()
    await seen(page, '.hours').first().waitFor()
    await look(page, `profile-quiet-${name}`)
    await seen(page, '.hours').first().tap()
    await look(page, `profile-hours-${name}`)
    await page.locator('.wx-sheet .cancel').tap()
    await seen(page, '.centre').tap()
    await look(page, `sign-out-${name}`)
    await page.locator('.wx-modal .confirm').tap()
    await seen(page, '.notice--text').waitFor()
    await look(page, `signed-out-${name}`)

    const { page: unlisted } = await openPhone(t, shared, server, 'alice', { ...options, settings: { domainNotListed: true } })
    await seen(unlisted, '.notice--text').waitFor()
    await look(unlisted, `domain-not-listed-${name}`)

    const { page: kicked } = await openPhone(t, shared, server, 'wei', options)
    await online(kicked)
    server.command('kick', 'wei')
    await seen(kicked, '.notice--action').waitFor()
    await look(kicked, `kicked-${name}`)
  })
}
