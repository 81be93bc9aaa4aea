'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { createNotices } = require('../../../miniprogram/sdk/notices.js')
const { World } = require('./world.js')

const DAY_MS = 86_400_000

/** WeChat on their phone: prompts in a tap only, and what they say to them. */
class Phone {
  constructor(world) {
    Object.assign(this, { world, items: new Map(), prompts: [], mainSwitch: true, itemSettings: {}, refusal: '', full: false })
    this.isTapped = false
    /** What they say to each template, and after how long. */
    this.says = () => 'accept'
    this.after = 0
    this.wx = {
      getStorageSync: key => (this.items.has(key) ? structuredClone(this.items.get(key)) : ''),
      setStorageSync: (key, value) => {
        if (this.full) throw new Error('setStorageSync:fail exceed storage max size')
        this.items.set(key, structuredClone(value))
      },
      removeStorageSync: key => this.items.delete(key),
      getSetting: ({ withSubscriptions, success }) => world.clock.setTimeout(() => success({
        subscriptionsSetting: withSubscriptions && { mainSwitch: this.mainSwitch, itemSettings: { ...this.itemSettings } },
      }), 1),
      requestSubscribeMessage: ({ tmplIds, success, fail }) => {
        const refusal = this.refusal || !this.isTapped && 'requestSubscribeMessage:fail can only be invoked by user TAP gesture.'
        if (refusal) return void world.clock.setTimeout(() => fail({ errMsg: refusal, errCode: 20000 }), 1)
        this.prompts.push(tmplIds)
        const said = Object.fromEntries(tmplIds.map(id => [id, this.itemSettings[id] || this.says(id)]))
        world.clock.setTimeout(() => success({ errMsg: 'requestSubscribeMessage:ok', ...said }), this.after)
      },
    }
  }
  tap(run) {
    this.isTapped = true
    try {
      return run()
    } finally {
      this.isTapped = false
    }
  }
}

/** Alice's phone, at a server with templates. */
async function ready({ templates = ['t1'], world = new World(), phone = new Phone(world) } = {}) {
  world.server.templates = templates
  const alice = await world.online('alice')
  const start = () => createNotices(alice.chat, { wx: phone.wx, now: world.clock.now })
  const notices = start()
  await world.tick(20)
  const reports = () => world.server.calls.filter(call => call.path === '/v1/notices/grants').map(call => call.body)
  /** A tap, and all that comes of it. */
  const tap = async options => {
    const asked = phone.tap(() => notices.ask(options))
    await world.tick(100)
    await asked
  }
  return { world, alice, phone, notices, reports, tap, start }
}

test('a yes is one notice: it is told to the server, and asked for again when there is none of that day', async () => {
  const { world, notices, phone, reports, tap } = await ready()
  assert.deepEqual(notices.state(), { available: true, left: 0, choice: 'ask', quiet: null, error: '' })
  await tap()
  assert.deepEqual(phone.prompts, [['t1']])
  assert.deepEqual(reports().map(({ id, ...report }) => report), [{ template_id: 't1', result: 'accept' }])
  assert.match(reports()[0].id, /^\w{8,64}$/)
  assert.equal(notices.state().left, 1)
  await tap()
  assert.equal(phone.prompts.length, 1, 'not twice a day')
  await world.tick(DAY_MS)
  await tap()
  await world.tick(DAY_MS)
  await tap()
  assert.deepEqual([phone.prompts.length, world.server.grants.get('alice').t1, notices.state().left], [3, 3, 3])
  await world.tick(DAY_MS)
  await tap()
  assert.equal(phone.prompts.length, 3, 'three are enough')
  // The server has sent them.
  world.server.grants.set('alice', {})
  notices.refresh()
  await world.tick(20)
  assert.equal(notices.state().left, 0)
  await tap()
  assert.equal(phone.prompts.length, 4)
})

test('a no is told too, takes back what was said before, and holds for a week, also after a restart', async () => {
  const { world, phone, notices, reports, tap, start } = await ready()
  await tap()
  phone.says = () => 'reject'
  await tap({ isWanted: true })
  assert.deepEqual([reports().map(report => report.result), notices.state().left], [['accept', 'reject'], 0])
  await world.tick(6 * DAY_MS)
  await tap()
  const again = start()
  await world.tick(20)
  phone.tap(() => again.ask())
  await world.tick(100)
  assert.equal(phone.prompts.length, 2)
  await world.tick(DAY_MS)
  await tap()
  assert.equal(phone.prompts.length, 3)
})

test('who told WeChat to keep to yes is asked nothing: each tap adds one until there are enough', async () => {
  const { world, notices, phone, tap } = await ready()
  phone.says = () => {
    phone.itemSettings.t1 = 'accept'
    return 'accept'
  }
  await tap()
  assert.equal(notices.state().choice, 'always')
  // It is not waited for.
  phone.after = 5000
  let isDone = false
  phone.tap(() => notices.ask()).then(() => (isDone = true))
  await world.tick(1)
  assert.ok(isDone)
  await world.tick(6000)
  phone.after = 0
  for (let i = 0; i < 4; i++) await tap()
  assert.deepEqual([phone.prompts.length, world.server.grants.get('alice').t1], [3, 3])
})

test('who told WeChat to keep to no, or switched its messages off, is left alone; and is asked when they have changed that', async () => {
  const { world, notices, phone, tap } = await ready()
  const now = async change => {
    Object.assign(phone, change)
    notices.refresh()
    await world.tick(20)
  }
  await now({ itemSettings: { t1: 'reject' } })
  await tap()
  await tap({ isWanted: true })
  assert.equal(notices.state().choice, 'never')
  await now({ itemSettings: { t1: 'ban' } })
  await tap()
  await now({ itemSettings: {}, mainSwitch: false })
  await tap()
  assert.deepEqual([notices.state().choice, phone.prompts], ['never', []])
  await now({ mainSwitch: true })
  await tap()
  assert.equal(phone.prompts.length, 1)
})

test('of several templates those are asked for that they have not refused for good, three at once; the rarest decides', async () => {
  const { world, notices, phone, reports, tap } = await ready({ templates: ['t1', 't2', 't3', 't4', 't5'] })
  phone.itemSettings = { t2: 'reject' }
  notices.refresh()
  await world.tick(20)
  phone.says = id => ({ t1: 'acceptWithAudio', t3: 'filter', t4: 'ban' })[id]
  await tap()
  assert.deepEqual(phone.prompts, [['t1', 't3', 't4']])
  assert.deepEqual(reports().map(report => [report.template_id, report.result]), [['t1', 'accept'], ['t3', 'filter'], ['t4', 'ban']])
  assert.equal(notices.state().left, 0)
})

test('they may ask by themselves, however few hours ago they said no', async () => {
  const { phone, tap, notices } = await ready()
  phone.says = () => 'reject'
  await tap()
  phone.says = () => 'accept'
  for (let i = 0; i < 4; i++) await tap({ isWanted: true })
  assert.deepEqual([phone.prompts.length, notices.state().left], [5, 4])
})

test('one prompt at a time, and who waits for it waits until it is closed', async () => {
  const { world, notices, phone } = await ready()
  phone.after = 1000
  let isDone = false
  phone.tap(() => notices.ask()).then(() => (isDone = true))
  await phone.tap(() => notices.ask({ isWanted: true }))
  await world.tick(500)
  assert.deepEqual([phone.prompts.length, isDone], [1, false])
  await world.tick(600)
  assert.ok(isDone)
})

test('where there are no notices nothing is asked: at a server without templates, at one that knows no notices, before it has answered', async () => {
  const without = await ready({ templates: [] })
  await without.tap()
  assert.equal(without.notices.state().available, false)
  const world = new World()
  world.server.http = ({ path }) => (path === '/v1/notices' ? { status: 404, body: { error: 'not_found' } } : undefined)
  const older = await ready({ world })
  await older.tap()
  assert.equal(older.notices.state().available, false)
  world.server.http = ({ path }) => (path === '/v1/notices' ? { status: 503, body: { error: 'unavailable' } } : undefined)
  const busy = await ready({ world })
  await busy.tap()
  assert.deepEqual([without, older, busy].map(({ phone }) => phone.prompts.length), [0, 0, 0])
  // With the next connection.
  world.server.reset()
  world.server.cut()
  await world.tick(2000)
  await busy.tap()
  assert.equal(busy.phone.prompts.length, 1)
})

test('a server that stops having notices is believed, one that is busy has them still', async () => {
  const { world, notices } = await ready()
  const told = async status => {
    world.server.http = ({ path }) => (path === '/v1/notices' ? { status, body: { status, error: 'no' } } : undefined)
    notices.refresh().catch(() => {})
    await world.tick(20)
    return notices.state().available
  }
  assert.deepEqual([await told(503), await told(404)], [true, false])
})

test('where WeChat shows no prompt it is not asked in vain, and why is told, until something has changed', async () => {
  const { world, notices, phone, tap } = await ready()
  // Not in a tap.
  notices.ask()
  await world.tick(10)
  assert.match(notices.state().error, /TAP gesture/)
  await tap()
  assert.equal(phone.prompts.length, 0)
  notices.refresh()
  await world.tick(20)
  assert.equal(notices.state().error, '')
  await tap()
  assert.equal(phone.prompts.length, 1)
})

/** The server answers reports so. */
const refuseReports = (world, status, error = 'unavailable') => {
  world.server.http = ({ path }) => (path === '/v1/notices/grants' ? { status, body: { status, error } } : undefined)
}

for (const status of [401, 429, 500, 503]) {
  test(`a report that was refused with ${status} is kept`, async () => {
    const { world, notices, reports, tap } = await ready()
    refuseReports(world, status)
    await tap()
    assert.deepEqual([notices.state().left, world.server.grants.get('alice')], [1, undefined])
    world.server.reset()
    notices.refresh()
    await world.tick(50)
    assert.deepEqual([world.server.grants.get('alice').t1, new Set(reports().map(report => report.id)).size], [1, 1])
  })
}

test('a report that could not be sent is sent later, once, also after a restart', async () => {
  const { world, phone, notices, reports, tap, start } = await ready()
  refuseReports(world, 503)
  phone.says = () => 'reject'
  await tap()
  assert.equal(notices.state().left, 0, 'no is no stock')
  phone.says = () => 'accept'
  await tap({ isWanted: true })
  assert.deepEqual([notices.state().left, world.server.grants.get('alice')], [1, undefined])
  world.server.reset()
  const before = reports().length
  const again = start()
  again.refresh()
  await world.tick(50)
  assert.deepEqual(reports().slice(before).map(report => report.result), ['reject', 'accept'])
  await world.tick(50)
  assert.equal(world.server.grants.get('alice').t1, 1)
  const told = reports().length
  start()
  await world.tick(50)
  assert.equal(reports().length, told, 'what the server has is not told again')
})

test('a report whose answer was lost goes again under its id', async () => {
  const { world, notices, reports, tap } = await ready()
  // It arrives; its answer does not.
  world.server.http = ({ method, path, body }) => path === '/v1/notices/grants' ? (world.server.notices(method, path, body, 'alice'), null) : undefined
  await tap()
  await world.tick(11_000)
  world.server.reset()
  notices.refresh()
  await world.tick(50)
  assert.deepEqual([reports().length, world.server.grants.get('alice').t1, notices.state().left], [2, 1, 1])
})

test('a report that the server refuses for good is dropped, and stands in no other’s way', async () => {
  const { world, notices, phone, reports, tap } = await ready({ templates: ['t1', 't2'] })
  world.server.http = ({ path, body }) => (path === '/v1/notices/grants' && body.template_id === 't1' ? { status: 404, body: { error: 'not_found' } } : undefined)
  await tap()
  assert.deepEqual(reports().map(report => report.template_id), ['t1', 't2'])
  assert.deepEqual([world.server.grants.get('alice').t2, notices.state().left], [1, 0])
  notices.refresh()
  await world.tick(50)
  assert.equal(reports().length, 2)
  assert.deepEqual(phone.items.get('hongyan.notices').reports, [])
})

test('what one user said is not another’s', async () => {
  const world = new World()
  const phone = new Phone(world)
  const theirs = await ready({ world, phone })
  refuseReports(world, 503)
  await theirs.tap()
  world.server.reset()
  const bob = await world.online('bob')
  const their = createNotices(bob.chat, { wx: phone.wx, now: world.clock.now })
  await world.tick(50)
  assert.equal(world.server.grants.size, 0)
  phone.tap(() => their.ask())
  await world.tick(50)
  assert.deepEqual([phone.prompts.length, world.server.grants.get('bob')], [2, { t1: 1 }])
})

test('signing out forgets it all', async () => {
  const { world, alice, notices, phone, tap } = await ready()
  await tap()
  assert.equal(phone.items.size, 1)
  alice.chat.signOut()
  await world.tick(50)
  assert.deepEqual([phone.items.size, notices.state().available], [0, false])
  await tap()
  assert.equal(phone.prompts.length, 1)
})

test('what is under way when the user signs out is nobody’s, and signs nobody in', async () => {
  const { world, alice, notices, phone, reports } = await ready({ templates: ['t1', 't2'] })
  phone.tap(() => notices.ask())
  await world.tick(0)
  assert.equal(reports().length, 1)
  alice.chat.signOut()
  await world.tick(100)
  assert.deepEqual([reports().length, phone.items.size, notices.state().left], [1, 0, 0])

  notices.refresh().catch(() => {})
  await world.tick(100)
  assert.equal(alice.chat.openid, '')
  alice.chat.start()
  await world.tick(50)
  notices.refresh().catch(() => {})
  await world.tick(0)
  alice.chat.signOut()
  await world.tick(100)
  assert.deepEqual([notices.state().available, alice.chat.openid], [false, ''])

  alice.chat.start()
  await world.tick(50)
  phone.after = 1000
  phone.tap(() => notices.ask({ isWanted: true }))
  alice.chat.signOut()
  await world.tick(2000)
  assert.deepEqual([phone.prompts.length, reports().length, alice.chat.openid], [2, 1, ''])
})

test('what is asked for at once is told once', async () => {
  const { world, notices, phone, reports } = await ready()
  refuseReports(world, 503)
  phone.tap(() => notices.ask())
  await world.tick(100)
  world.server.reset()
  const before = reports().length
  notices.refresh()
  notices.refresh()
  await world.tick(100)
  assert.equal(reports().length, before + 1)
})

test('how many are left is not asked while a report is under way: it would be counted twice', async () => {
  const { world, notices, phone } = await ready()
  world.server.http = ({ path }) => (path === '/v1/notices/grants' ? null : undefined)
  const asked = () => world.server.calls.filter(call => call.path === '/v1/notices').length
  phone.tap(() => notices.ask())
  await world.tick(5)
  const before = asked()
  notices.refresh()
  await world.tick(9000)
  assert.equal(asked(), before)
  await world.tick(2000)
  assert.equal(asked(), before + 1)
})

test('a full storage stops nothing', async () => {
  const { phone, notices, tap } = await ready()
  phone.full = true
  await tap()
  assert.equal(notices.state().left, 1)
})

test('quiet hours are those of the clock on the wall where the phone is', async () => {
  const { world, notices } = await ready()
  let changes = 0
  const off = notices.on('change', () => changes++)
  notices.setQuiet({ from: '22:00', to: '07:30' })
  await world.tick(10)
  const quiet = { from: '22:00', to: '07:30', utc_offset_minutes: -new Date(world.clock.now()).getTimezoneOffset() }
  assert.deepEqual([world.server.quiet.get('alice'), notices.state().quiet, changes], [quiet, quiet, 1])
  off()
  notices.setQuiet(null)
  await world.tick(10)
  assert.deepEqual([world.server.quiet.get('alice'), notices.state().quiet, changes], [null, null, 1])
  world.server.http = () => ({ status: 400, body: { error: 'bad_request' } })
  const wrong = assert.rejects(notices.setQuiet({ from: '25:00', to: '' }), { word: 'bad_request' })
  await world.tick(10)
  await wrong
  assert.equal(notices.state().quiet, null)
})

test('a memory that is broken, wherever, is an empty one', async () => {
  const report = { id: 'r', template_id: 't1', result: 'accept' }
  const whole = { openid: 'alice', rest_until: 0, reports: [] }
  const wrong = [null, 7, '.x', true, [], [null], [7], [{}]]
  for (const memory of [7, 'x', [], ...wrong.flatMap(part => [{ ...whole, reports: part }, { ...whole, rest_until: part, reports: [report, part] }, { ...whole, openid: part }])]) {
    const world = new World()
    const phone = new Phone(world)
    phone.items.set('hongyan.notices', memory)
    const { notices, tap } = await ready({ world, phone })
    assert.equal(notices.state().available, true, JSON.stringify(memory))
    await tap({ isWanted: true })
    assert.ok(notices.state().left >= 1, JSON.stringify(memory))
  }
})
