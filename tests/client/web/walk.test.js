'use strict'
/** Two people at the page, one in the light and in Chinese, one in the dark and in English. */

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { DARK, LIGHT, PHONE, Server, browser, bubble, fits, longPress, look, online, openChat, person, said, say, signedIn } = require('./harness')

const shared = browser()

test('people sign in as whom they like, and are told what is no name', async t => {
  const server = await Server.start(t)
  const alice = await person(t, shared, server, LIGHT)
  await alice.page.fill('#credential', 'not a name')
  await alice.page.getByRole('button', { name: '登录' }).click()
  await alice.page.getByText('名字由 1 至 64 个').waitFor()
  await look(alice.page, 'sign-in-light')
  const bob = await person(t, shared, server, DARK)
  await look(bob.page, 'sign-in-dark')
  await alice.page.fill('#credential', 'alice')
  await alice.page.keyboard.press('Enter')
  await online(alice.page)
  await alice.page.getByText('还没有聊天').waitFor()
  await look(alice.page, 'no-chats-light')

  // A tab stays who it is; another tab is somebody else.
  await alice.page.reload()
  await online(alice.page)
  const tab = await alice.context.newPage()
  await tab.goto(server.url)
  await tab.fill('#credential', 'carol')
  await tab.keyboard.press('Enter')
  await online(tab)
  assert.equal(await alice.page.locator('body').getAttribute('data-state'), 'online')
})

test('two people talk', async t => {
  const server = await Server.start(t)
  const { page: alice, context } = await signedIn(t, shared, server, 'alice', LIGHT)
  const { page: bob } = await signedIn(t, shared, server, 'bob', DARK)

  await openChat(alice, 'bob')
  await look(alice, 'empty-room-light')
  await say(alice, '你好，鲍勃 👋')
  await bubble(alice, '你好').waitFor()

  // A stranger does not learn whether they are heard. So bob says something first.
  await openChat(bob, 'alice')
  await say(bob, 'Good morning')
  await alice.getByText('Good morning').first().waitFor()
  await bob.evaluate(() => { location.hash = '' })
  await say(alice, '在吗？')

  // At bob's it is in the list, with a badge, and the title says so.
  const row = bob.locator('#conversations a[data-peer=alice]')
  await row.getByText('1 unread').waitFor()
  await bob.waitForFunction(() => document.title === '(1) Hongyan')
  await alice.getByText('已送达').waitFor()
  await look(bob, 'badge-dark')
  await row.click()
  await bubble(bob, '在吗').waitFor()
  await row.getByText('1 unread').waitFor({ state: 'detached' })
  await bob.waitForFunction(() => document.title === 'Hongyan')
  await alice.getByText('已读').waitFor()

  // Typing.
  let isShown = false
  const shown = alice.locator('#room h2', { hasText: '对方正在输入' }).waitFor().then(() => { isShown = true })
  while (!isShown) await bob.locator('#composer textarea').pressSequentially('…', { delay: 100 })
  await shown
  await alice.locator('#conversations .typing').waitFor()
  await look(alice, 'typing-light')

  // Shift and Enter make a line.
  await bob.fill('#composer textarea', 'Hi')
  await bob.press('#composer textarea', 'Shift+Enter')
  await bob.locator('#composer textarea').pressSequentially('Alice')
  await bob.press('#composer textarea', 'Enter')
  await bubble(alice, 'Hi\nAlice').waitFor()
  await alice.locator('#room h2', { hasText: 'bob' }).waitFor()
  assert.deepEqual(await said(alice), ['你好，鲍勃 👋', 'Good morning', '在吗？', 'Hi\nAlice'])

  // Nothing that somebody writes is more than text; addresses of the web are links.
  const hostile = '<img src=x onerror=alert(1)> javascript:alert(1) (https://example.com/a?b=1&c=2).'
  await say(bob, hostile)
  await say(bob, 'Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft'.repeat(3))
  await say(bob, '👍🏽👨‍👩‍👧‍👦🎉')
  await bubble(alice, '🎉').waitFor()
  assert.equal((await said(alice))[4], hostile)
  const links = await alice.locator('.bubble a').evaluateAll(links => links.map(link => [link.getAttribute('href'), link.target, link.rel]))
  assert.deepEqual(links, [['https://example.com/a?b=1&c=2', '_blank', 'noopener noreferrer']])
  await fits(alice)

  // Copying.
  await context.grantPermissions(['clipboard-read', 'clipboard-write'])
  await bubble(alice, 'Hi\nAlice').click({ button: 'right' })
  await look(alice, 'menu-light')
  await alice.getByRole('menuitem', { name: '复制' }).click()
  await alice.getByText('已复制').waitFor()
  assert.equal(await alice.evaluate(() => navigator.clipboard.readText()), 'Hi\nAlice')

  // Recalling.
  await say(alice, '打错了')
  await bubble(bob, '打错了').waitFor()
  await bubble(alice, '打错了').click({ button: 'right' })
  await alice.getByRole('menuitem', { name: '撤回' }).click()
  await alice.locator('#messages').getByText('你撤回了一条消息').waitFor()
  await bob.locator('#messages').getByText('“alice” recalled a message').waitFor()
  await bubble(bob, '打错了').waitFor({ state: 'detached' })
  await look(alice, 'room-light')
  await look(bob, 'room-dark')

  // One side is cleared, after a question; the other is not.
  await alice.click('#more')
  await alice.getByRole('menuitem', { name: '删除该聊天' }).click()
  await look(alice, 'delete-chat-light')
  const question = alice.getByRole('dialog', { name: '删除该聊天？' })
  await question.getByText('永久删除').waitFor()
  await question.getByRole('button', { name: '取消' }).click()
  await bubble(alice, 'Hi\nAlice').waitFor()
  await alice.click('#more')
  await alice.getByRole('menuitem', { name: '删除该聊天' }).click()
  await question.getByRole('button', { name: '删除' }).click()
  await alice.getByText('还没有聊天').waitFor()
  assert.equal((await said(bob)).length, 7)

  // What comes while they are away is there when they are back.
  await alice.close()
  for (const words of ['one', 'two', 'three']) await say(bob, words)
  await bob.getByText('Sent', { exact: true }).waitFor()
  const back = await context.newPage()
  await back.goto(server.url)
  await back.fill('#credential', 'alice')
  await back.keyboard.press('Enter')
  await back.locator('#conversations a[data-peer=bob]').getByText('3 条未读').waitFor()
  await back.click('#conversations a[data-peer=bob]')
  // The newest is there at once, those before it when they are fetched.
  for (const words of ['one', 'two', 'three']) await bubble(back, words).waitFor()
  assert.deepEqual(await said(back), ['one', 'two', 'three'])
})

test('names and pictures', async t => {
  const server = await Server.start(t)
  const { page: alice } = await signedIn(t, shared, server, 'alice', LIGHT)
  await alice.click('#me')
  // A picture that no quality makes small: noise.
  const noise = await alice.evaluate(() => {
    const canvas = Object.assign(document.createElement('canvas'), { width: 900, height: 600 })
    const context = canvas.getContext('2d')
    const image = context.createImageData(900, 600)
    for (let i = 0; i < image.data.length; i++) image.data[i] = i % 4 === 3 ? 255 : Math.random() * 255
    context.putImageData(image, 0, 0)
    return canvas.toDataURL().split(',')[1]
  })
  const files = alice.locator('input[type=file]')
  await files.setInputFiles({ name: 'not.png', mimeType: 'image/png', buffer: Buffer.from('no picture') })
  await alice.getByText('无法读取这张图片').waitFor()
  await files.setInputFiles({ name: 'noise.png', mimeType: 'image/png', buffer: Buffer.from(noise, 'base64') })
  await alice.locator('.picture img').waitFor()
  await alice.fill('#profile-nickname', '字'.repeat(33))
  await alice.getByRole('button', { name: '保存' }).click()
  await alice.getByText('昵称最多 32 个字符').waitFor()
  await look(alice, 'profile-light')
  await alice.fill('#profile-nickname', '爱丽丝 🐇')
  await alice.getByRole('button', { name: '保存' }).click()
  await alice.locator('#me img').waitFor()

  const { page: bob } = await signedIn(t, shared, server, 'bob', DARK)
  await openChat(bob, 'alice')
  await bob.locator('#room h2', { hasText: '爱丽丝 🐇' }).waitFor()
  await say(bob, 'hello')
  const picture = bob.locator('#conversations a[data-peer=alice] img')
  await picture.waitFor()
  await bob.waitForFunction(() => document.querySelector('#conversations img').naturalWidth > 0)
  assert.match(await picture.getAttribute('src'), /\/v1\/avatars\/[0-9a-f]{64}$/)

  // A name that could not be fetched is not lost by saving something else.
  const theirs = await signedIn(t, shared, server, 'alice', LIGHT)
  theirs.expected = /ERR_FAILED/
  await theirs.page.route('**/v1/users?*', route => route.abort())
  await theirs.page.reload()
  await online(theirs.page)
  await theirs.page.evaluate(() => sessionStorage.removeItem('hongyan.alice.users'))
  await theirs.page.reload()
  await online(theirs.page)
  await theirs.page.click('#me')
  assert.equal(await theirs.page.inputValue('#profile-nickname'), '')
  await theirs.page.getByRole('button', { name: '保存' }).click()
  await theirs.page.getByText('已保存').waitFor()
  assert.equal((await server.request('GET', '/v1/me', { as: 'alice' })).nickname, '爱丽丝 🐇')

  await bob.click('#me')
  await look(bob, 'profile-dark')
  await bob.click('#sign-out')
  await look(bob, 'sign-out-dark')
  await bob.getByRole('dialog').getByRole('button', { name: 'Sign out' }).click()
  await bob.locator('#credential').waitFor()
  assert.deepEqual(await bob.evaluate(() => [...Object.keys(sessionStorage), ...Object.keys(localStorage)]), [])
})

test('a narrow window shows the list or a chat, a wide one both', async t => {
  const server = await Server.start(t)
  const theirs = await signedIn(t, shared, server, 'alice', { ...LIGHT, ...PHONE })
  const { page: alice } = theirs
  const { page: bob } = await signedIn(t, shared, server, 'bob', { ...DARK, ...PHONE })
  await openChat(alice, 'bob')
  await say(alice, '在地铁上，网络断断续续的，先这样说 https://example.com/a/very/long/path/that/does/not/end/anywhere')
  await bob.click('#conversations a[data-peer=alice]')
  await say(bob, 'Never mind, we can talk tonight. ' + 'W'.repeat(80))
  await bubble(alice, 'tonight').waitFor()
  assert.equal(await alice.locator('#side').isVisible(), false)
  await say(alice, '好')
  await longPress(theirs, bubble(alice, '好'))
  await alice.getByRole('menuitem', { name: '撤回' }).tap()
  await alice.locator('#messages').getByText('你撤回了一条消息').waitFor()
  for (const width of [320, 360]) {
    await alice.setViewportSize({ width, height: 568 })
    await fits(alice)
    await look(alice, `narrow-room-light-${width}`)
  }
  await look(bob, 'narrow-room-dark')
  await alice.click('#back')
  await alice.locator('#room').waitFor({ state: 'hidden' })
  await fits(alice)
  await look(alice, 'narrow-list-light')
  await alice.click('#conversations a[data-peer=bob]')
  await alice.goBack()
  await alice.locator('#room').waitFor({ state: 'hidden' })
  await alice.goForward()
  await alice.locator('#room').waitFor()
  for (const [width, height] of [[720, 500], [3840, 2160]]) {
    await alice.setViewportSize({ width, height })
    assert.equal(await alice.locator('#side').isVisible() && await alice.locator('#room').isVisible(), true)
    await fits(alice)
    await look(alice, `wide-light-${width}`)
  }
})

test('all of it without a mouse', async t => {
  const server = await Server.start(t)
  const { page: alice } = await signedIn(t, shared, server, 'alice', DARK)
  const { page: bob } = await signedIn(t, shared, server, 'bob', LIGHT)
  /** Waits until what is named (a peer of the list, an id, a tag) has the focus. */
  const focused = name => alice.waitForFunction(name => {
    const { dataset, id, localName } = document.activeElement
    return [dataset.peer, id, localName].includes(name)
  }, name)
  for (const peer of ['bob', 'carol']) {
    await alice.focus('#new-chat')
    await alice.keyboard.press('Enter')
    await alice.keyboard.type(peer)
    await alice.keyboard.press('Enter')
    await focused('textarea')
    await alice.keyboard.type(`hello ${peer}`)
    // An input method's Enter takes the word and sends nothing.
    await alice.evaluate(() => document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', isComposing: true, bubbles: true, cancelable: true })))
    assert.equal(await alice.inputValue('#composer textarea'), `hello ${peer}`)
    await alice.keyboard.press('Enter')
    await alice.locator(`#conversations a[data-peer=${peer}]`, { hasText: `hello ${peer}` }).waitFor()
    assert.equal(await alice.inputValue('#composer textarea'), '')
  }

  // Escape leads to the list, arrows go through it, Enter opens.
  await alice.keyboard.press('Escape')
  await focused('carol')
  await alice.keyboard.press('ArrowDown')
  await focused('bob')
  await look(alice, 'focus-dark')
  await alice.keyboard.press('Home')
  await focused('carol')
  await alice.keyboard.press('End')
  // The chat moves to the top of the list meanwhile, and keeps the focus.
  await bob.click('#conversations a[data-peer=alice]')
  await say(bob, 'and to you')
  await alice.locator('#conversations li:first-child', { hasText: 'and to you' }).waitFor()
  await focused('bob')
  await alice.keyboard.press('Enter')
  await alice.locator('#room h2', { hasText: 'bob' }).waitFor()
  await focused('textarea')

  // The messages are a stop of the Tab key, and each of them has a menu.
  await alice.keyboard.press('Shift+Tab')
  await focused('log')
  await alice.keyboard.press('ArrowUp')
  await alice.keyboard.press('ArrowUp')
  await alice.keyboard.press('Enter')
  await alice.keyboard.press('End')
  await alice.keyboard.press('Enter')
  await alice.locator('#messages').getByText('You recalled a message').waitFor()

  // Delete, with a question first; Escape says no.
  await alice.keyboard.press('Escape')
  await alice.keyboard.press('Delete')
  await alice.keyboard.press('Escape')
  await focused('bob')
  await alice.keyboard.press('Delete')
  await alice.getByRole('dialog').getByRole('button', { name: 'Delete' }).press('Enter')
  await alice.locator('#conversations a[data-peer=bob]').waitFor({ state: 'detached' })
  await focused('carol')
})

test('what is said to screen readers', async t => {
  const server = await Server.start(t)
  const { page: alice } = await signedIn(t, shared, server, 'alice', DARK)
  const { page: bob } = await signedIn(t, shared, server, 'bob', LIGHT)
  await openChat(alice, 'bob')
  await say(alice, 'hello')
  await bob.click('#conversations a[data-peer=alice]')
  await say(bob, 'good morning')
  await alice.locator('#announcer', { hasText: 'bob: good morning' }).waitFor()
  await alice.getByRole('log', { name: 'bob' }).getByText('I: hello').waitFor()
  assert.equal(await alice.getByRole('navigation', { name: 'Chats' }).getByRole('link', { name: /bob.*good morning/ }).getAttribute('aria-current'), 'page')
  await alice.getByRole('textbox', { name: 'Message' }).waitFor()
  for (const name of ['Profile', 'New chat', 'More', 'Send']) await alice.getByRole('button', { name }).waitFor()
  assert.equal(await alice.locator('html').getAttribute('lang'), 'en')
  assert.equal(await bob.locator('html').getAttribute('lang'), 'zh-CN')
})
