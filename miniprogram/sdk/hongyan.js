/**
 * hongyan 鸿雁: the SDK. What it does stands in hongyan.d.ts, here stands how:
 *
 *   errors         what went wrong, as one kind of object
 *   adapters       all that is asked of `wx` or of a browser
 *   conversations  the rules by which messages come together: plain data, no network
 *   connection     sign-in, HTTP, the socket, and when to try again
 *   client         the rest, around these: storage, sync, outbox, marks, history, users
 *
 * It runs as it stands in WeChat and in browsers of 2019 and later, so there is no syntax newer than that.
 */
;(function () {
'use strict'

// ---------------------------------------------------------------- errors

/** For the mistakes that a developer makes once. All other errors are for users, and pages have texts of their own for each word. */
const HINTS = {
  domain_not_allowed: 'WeChat refuses this server: add it to the request and socket domains in the settings of the mini-program',
  wrong_appid: 'the server refuses fresh login codes: its wechat.appid and secret must be those of this mini-program',
  server_clock: "this device's clock and the server's differ by more than five minutes",
}

const chatError = (word, message, more) => Object.assign(new Error(message || HINTS[word] || word), { word }, more)

/** Of an error frame, or of the body of an HTTP answer. */
const errorOf = ({ error, message, status, retry_after_ms }) => chatError(error, message, { status, retry_after_ms })

/** Of anything that was thrown. `wx` fails with objects that have an `errMsg`. */
function toChatError(thrown) {
  if (thrown.word) return thrown
  const text = thrown.errMsg || thrown.message || String(thrown)
  return /domain list/.test(text) ? chatError('domain_not_allowed') : chatError(/timeout/.test(text) ? 'timeout' : 'offline', text)
}

/** After these nothing is tried again without being asked. */
const FINAL = new Set(['bad_request', 'unauthorized', 'bad_code', 'openid_mismatch', 'blocked_by_wechat', 'banned', 'not_found', 'wrong_appid', 'domain_not_allowed'])

// ---------------------------------------------------------------- adapters

/** @type {import('./hongyan').createAdapter} */
function createAdapter(anyWx) {
  const wx = /** @type {any} */ (anyWx)
  const promised = (name, options) => new Promise((resolve, reject) => wx[name]({ ...options, success: resolve, fail: reject }))
  /** How to end each socket that is open as far as is known. */
  const drops = new Set()
  return {
    login: () => promised('login').then(({ code }) => code),
    request: ({ method, url, headers, body }) =>
      promised('request', { method, url, header: headers, data: body }).then(({ statusCode, data }) => ({ status: statusCode, body: data })),

    connect({ url, token }, on) {
      let isOpen = false
      let isOver = false
      const end = (code, reason) => {
        if (!isOver) on.close(code, reason)
        isOver = true
        drops.delete(drop)
      }
      const task = wx.connectSocket({ url, header: { Authorization: `Bearer ${token}` }, protocols: ['hongyan.v1'], fail: e => end(1006, e.errMsg) })
      if (!task) throw new Error('connectSocket')
      const shut = (code, reason) => task.close({ code, reason, fail() {} })
      const drop = () => {
        shut(1000, '')
        end(1006, '')
      }
      drops.add(drop)
      task.onOpen(() => {
        isOpen = true
        // One that was given up before it opened could not be closed then, and would stay one of the five that WeChat allows.
        if (isOver) shut(1000, '')
        else on.open()
      })
      task.onMessage(({ data }) => isOver || on.message(data))
      // After a failed handshake nothing else comes. Where it was open, the close follows and has the code.
      task.onError(({ errMsg }) => setTimeout(end, isOpen ? 1000 : 0, 1006, errMsg))
      task.onClose(({ code, reason }) => end(code, reason))
      return {
        send: text => task.send({ data: text, fail() {} }),
        close(code, reason) {
          isOver = true
          drops.delete(drop)
          shut(code, reason)
        },
      }
    },

    storage: { get: key => wx.getStorageSync(key), set: (key, value) => wx.setStorageSync(key, value), remove: key => wx.removeStorageSync(key) },

    watch(on) {
      let hiddenAt = Infinity
      const events = {
        AppHide() {
          hiddenAt = Date.now()
          on.hide()
        },
        AppShow() {
          // Hidden for 5 s, the app is suspended and its sockets are gone, told or not.
          if (Date.now() - hiddenAt >= 5000) drops.forEach(drop => drop())
          hiddenAt = Infinity
          on.show()
        },
        NetworkStatusChange: ({ isConnected }) => (isConnected ? on.online() : on.offline()),
      }
      for (const name in events) wx[`on${name}`](events[name])
      return () => {
        for (const name in events) wx[`off${name}`](events[name])
      }
    },
  }
}

/** @type {import('./hongyan').createBrowserAdapter} */
function createBrowserAdapter() {
  return {
    login: () => Promise.reject(chatError('bad_request', 'a browser has no wx.login: give createClient a signIn')),

    async request({ method, url, headers, body }) {
      const answer = await fetch(url, { method, headers, body: body && JSON.stringify(body) })
      // Some answers are empty, and a proxy's are no JSON.
      return { status: answer.status, body: await answer.json().catch(() => undefined) }
    },

    connect({ url, token }, on) {
      // A browser cannot set headers, and a token does not belong into a URL.
      const socket = new WebSocket(url, ['hongyan.v1', `bearer.${token}`])
      socket.onopen = () => on.open()
      socket.onmessage = ({ data }) => on.message(data)
      socket.onclose = ({ code, reason }) => on.close(code, reason)
      return { send: text => socket.send(text), close: (code, reason) => socket.close(code, reason) }
    },

    storage: { get: key => localStorage.getItem(key), set: (key, value) => localStorage.setItem(key, String(value)), remove: key => localStorage.removeItem(key) },

    watch(on) {
      const look = () => (document.hidden ? on.hide() : on.show())
      const events = { visibilitychange: look, pagehide: () => on.hide(), online: () => on.online(), offline: () => on.offline() }
      // What happens to the document comes by the window.
      for (const name in events) addEventListener(name, events[name], true)
      if (document.hidden) on.hide()
      return () => {
        for (const name in events) removeEventListener(name, events[name], true)
      }
    },
  }
}

// ---------------------------------------------------------------- conversations
//
// A row is what is known of one conversation. Its `window` holds events (messages, and recalls) with rising seqs, without a hole, and ends at
// `to`. `outbox` has own messages that are not in the window yet. `unread` is what the server counted among the first `unread_at` events.

const newRow = peer => ({
  peer, last_seq: 0, cleared_seq: 0, read_seq: 0, read_told: 0, recv_seq: 0, peer_read_seq: 0, peer_recv_seq: 0,
  unread: 0, unread_at: 0, to: 0, window: [], outbox: [],
})

function eventOf({ status, to_user_openid, from_user_openid, target_seq, message, ...frame }, me) {
  const { seq, sent_at, type, client_msg_id, recalled, ...extra } = frame
  return { seq, sent_at, type, client_msg_id, recalled, extra, target: target_seq, mine: from_user_openid === me, message: typeof message === 'string' ? message : '' }
}

const isMessage = event => !event.target
const isTheirs = event => !event.mine
/** The first seq of the window, or the one after `to` where it is empty. */
const firstOf = row => row.to - row.window.length + 1
const hasOlder = row => firstOf(row) > row.cleared_seq + 1
/** Something is known to be there that is not here. */
const isBehind = row => row.to < row.last_seq
const lastSeq = (row, passes) => row.window.reduce((last, event) => (passes(event) ? event.seq : last), 0)
/** Up to where nothing is unread: what was read, cleared, or written oneself. */
const floorOf = row => Math.max(row.read_seq, row.cleared_seq, lastSeq(row, event => event.mine && isMessage(event)))
/** Whether all that may be unread is in the window. */
const isCountable = row => floorOf(row) >= firstOf(row) - 1 && row.to >= row.unread_at

function unreadOf(row) {
  const above = isCountable(row) ? floorOf(row) : row.unread_at
  const here = row.window.filter(event => event.seq > above && isTheirs(event) && isMessage(event) && !event.recalled)
  return here.length + (isCountable(row) ? 0 : row.unread)
}

/**
 * Brings a stretch of events into the window; what is there is dropped. Where a hole would stay, the window begins anew with the stretch: what
 * was before is in history. False where the two contradict each other: then the server has lost what it had.
 */
function merge(row, stretch) {
  const events = stretch.filter(event => event.seq > row.cleared_seq)
  if (!events.length) return true
  const first = firstOf(row)
  const known = seq => row.window[seq - firstOf(row)]
  const end = events[events.length - 1]
  if (events[0].seq > row.to + 1) row.window = events
  else if (end.seq < first - 1) return !known(row.to) || end.sent_at <= known(row.to).sent_at
  else {
    for (const event of events) {
      const same = known(event.seq)
      if (same && same.sent_at !== event.sent_at) return false
      if (same && event.recalled) row.window[event.seq - first] = event
    }
    row.window = [...events.filter(event => event.seq < first), ...row.window, ...events.filter(event => event.seq > row.to)]
  }
  row.to = Math.max(row.to, end.seq)
  row.last_seq = Math.max(row.last_seq, row.to)
  // A recall overwrites what it recalls, whichever of them came first.
  for (const { target } of row.window) if (known(target)) row.window[target - firstOf(row)] = { ...known(target), message: '', extra: {}, recalled: true }
  return true
}

/** Forgets everything up to `seq`. */
function clear(row, seq) {
  row.cleared_seq = Math.max(row.cleared_seq, seq)
  row.to = Math.max(row.to, seq)
  row.window = row.window.filter(event => event.seq > seq)
}

/** What the server says of a conversation in a sync. */
function overlay(row, said, me) {
  for (const name of ['last_seq', 'read_seq', 'peer_read_seq', 'peer_recv_seq']) row[name] = Math.max(row[name], said[name])
  row.read_told = said.read_seq
  row.recv_seq = said.recv_seq
  row.unread = said.unread
  row.unread_at = said.last_seq
  clear(row, said.cleared_seq)
  return merge(row, said.messages.map(frame => eventOf(frame, me)))
}

/** The row with only its newest events: older ones are in history. */
const shortened = (row, size) => ({ ...row, unread: unreadOf(row), unread_at: Math.max(row.unread_at, row.to), window: row.window.slice(-size) })

// ---------------------------------------------------------------- connection

const ANSWER_MS = 10000
const FIRST_WAIT_MS = 500
const LONGEST_WAIT_MS = 30000
const CLOCKS_DIFFER_MS = 300000
/** Closes after which only a person should connect again; others from 4500 on say their word beside the code. */
const CLOSED = { 4502: 'bad_request', 4503: 'replaced', 4504: 'kicked', 4505: 'banned', 4506: 'too_many_errors' }

/** Signs in, asks over HTTP and over one socket, and opens that again. It knows nothing of conversations. */
function createConnection({ adapter, clock, url, signIn, device, kept, on }) {
  const base = url.replace(/\/+$/, '')
  const after = ms => new Promise(resolve => clock.setTimeout(resolve, ms))
  let state = 'stopped'
  let error, renewing
  let credentials = kept.get('token')

  function turn(next, why, retryAt) {
    state = next
    error = why
    on.state({ state, error, retryAt })
  }

  // ---- HTTP

  const late = async () => {
    await after(ANSWER_MS)
    throw chatError('timeout')
  }
  const timely = promise => Promise.race([promise, late()]).catch(e => {
    throw toChatError(e)
  })

  async function request(method, path, body, token) {
    const headers = token ? { Authorization: `Bearer ${token}` } : {}
    const { status, body: said } = await timely(adapter.request({ method, url: base + path, headers, body }))
    if (status >= 300) throw errorOf({ error: status === 404 ? 'not_found' : 'unavailable', ...said, status })
    return said
  }
  async function call(method, path, body) {
    const first = await token()
    return request(method, path, body, first).catch(async e => {
      if (e.status !== 401) throw e
      if (credentials.token === first) distrust()
      return request(method, path, body, await token())
    })
  }

  // ---- tokens

  const login = code => request('POST', '/v1/login', { code })
  /** A code may be refused because it grew old. A second one was made for another mini-program than the server's. */
  async function wxSignIn(isSecond) {
    const code = await timely(adapter.login())
    return login(code).catch(e => {
      if (e.word !== 'bad_code') throw e
      if (isSecond === true) throw chatError('wrong_appid')
      return wxSignIn(true)
    })
  }
  async function renew() {
    const { openid, token, expires_in } = await (signIn || wxSignIn)({ login })
    const now = clock.now()
    if (credentials && credentials.openid !== openid) end(chatError('offline'))
    credentials = { openid, token, renew_at: now + expires_in * 900, ends_at: now + expires_in * 1000 }
    kept.set('token', credentials)
    on.user(openid)
  }
  /** One that holds. While no new one can be had, the old one serves until its end. */
  async function token() {
    const done = () => (renewing = null)
    if (!credentials || clock.now() >= credentials.renew_at) {
      if (!renewing) (renewing = Promise.resolve().then(renew)).then(done, done)
      await renewing.catch(e => {
        if (!credentials || clock.now() >= credentials.ends_at) throw toChatError(e)
      })
    }
    return credentials.token
  }
  function distrust() {
    credentials.renew_at = credentials.ends_at = 0
  }

  // ---- the socket

  /** Where there is none, it is null, and `end` and `wake` do nothing. `wake` ends a wait for the next attempt. */
  let socket = null
  let end = () => {}
  let wake = end
  let run = 0
  let tries, isSecondToken, heardAt
  let questions = 0
  const asked = new Map()

  function send(frame) {
    if (socket) socket.send(JSON.stringify(frame))
    return !!socket
  }
  /** The frame that answers. Where there is none in time and nothing else was heard, the socket is dead. */
  async function ask(frame) {
    const id = `q${++questions}`
    if (!send({ ...frame, id })) throw chatError('offline')
    const answer = new Promise((resolve, reject) => asked.set(id, { resolve, reject }))
    for (;;) {
      const given = await Promise.race([answer, after(ANSWER_MS)])
      if (given) return given
      const isDead = clock.now() - heardAt >= ANSWER_MS
      if (isDead) end(chatError('timeout'))
      // A sync may take as long as it comes on.
      if (isDead || frame.client_msg_id) throw chatError('timeout')
    }
  }
  function answer(frame) {
    const question = asked.get(frame.id)
    if (!question || frame.type === 'sync' && !frame.cursor) return
    asked.delete(frame.id)
    if (frame.type === 'error') question.reject(errorOf(frame))
    else question.resolve(frame)
  }

  /** From the sign-in to the end of the socket. Rejects with why it ended. */
  async function session(mine) {
    await token()
    if (mine !== run) return
    let link, farewell, beat, isOver
    const ended = new Promise((resolve, reject) => {
      end = reject
      const path = `/${credentials.openid}?device=${device}`
      const silence = clock.setTimeout(() => reject(chatError('timeout')), ANSWER_MS)
      link = adapter.connect({ url: base.replace('http', 'ws') + path, token: credentials.token }, {
        open() {},
        message(text) {
          if (isOver) return
          heardAt = clock.now()
          const frame = JSON.parse(text)
          // Why a session is closed stands in the frame before.
          farewell = frame.type === 'error' && frame
          if (frame.type === 'init') {
            clock.clearTimeout(silence)
            socket = link
            beat = () => {
              if (isOver) return
              ask({ type: 'heart' }).catch(() => {})
              token().catch(() => {})
              clock.setTimeout(beat, frame.heartbeat_ms)
            }
            clock.setTimeout(beat, frame.heartbeat_ms)
            if (Math.abs(frame.server_time - heardAt) > CLOCKS_DIFFER_MS) on.error(chatError('server_clock'))
          }
          on.frame(frame)
          answer(frame)
        },
        close: (code, reason) => reject(closeError(code, reason, farewell)),
      })
    })
    try {
      await ended
    } catch (e) {
      isOver = true
      socket = null
      if (link) link.close(1000, '')
      asked.forEach(({ reject }) => reject(e))
      asked.clear()
      throw e
    }
  }
  function closeError(code, reason, farewell) {
    const wait = /retry_ms=(\d+)/.exec(reason)
    const { error: word = code < 4500 ? 'offline' : reason, message = `closed with ${code} ${reason}`, retry_after_ms } = farewell || {}
    return chatError(CLOSED[code] || word, message, { code, retry_after_ms: wait ? +wait[1] : retry_after_ms })
  }

  /** One attempt after the other, until it is stopped or refused. */
  async function stay() {
    const mine = ++run
    tries = 0
    isSecondToken = false
    for (;;) {
      turn('connecting')
      const why = await session(mine).catch(toChatError)
      if (mine !== run) return
      // Tokens end. One sign-in mends that, or none does.
      if (why.word === 'unauthorized' && !isSecondToken) {
        isSecondToken = true
        distrust()
        continue
      }
      if (why.code >= 4500 || FINAL.has(why.word)) return turn('refused', why)
      const { retry_after_ms = clock.random() * Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** tries++) } = why
      turn('waiting', why, clock.now() + retry_after_ms)
      await Promise.race([after(retry_after_ms), new Promise(resolve => (wake = resolve))])
      if (mine !== run) return
    }
  }

  return {
    base, call, send, ask, pause: after,
    state: () => state,
    error: () => error,
    isOnline: () => socket && state === 'online',
    /** Everything is here. */
    settled() {
      tries = 0
      isSecondToken = false
      if (state !== 'online') turn('online')
    },
    start() {
      if (state === 'stopped' || state === 'refused') stay()
    },
    /** There is no reason to wait any longer. */
    hurry() {
      tries = 0
      wake()
    },
    drop: () => end(chatError('offline')),
    stop() {
      run++
      end(chatError('offline'))
      wake()
      turn('stopped')
    },
    async signOut() {
      const last = credentials
      credentials = null
      // A token that is refused has ended already.
      if (last) await request('POST', '/v1/logout', {}, last.token).catch(e => {
        if (e.status !== 401) throw e
      })
    },
  }
}

// ---------------------------------------------------------------- client

/** A key of WeChat's storage holds 1 MB, and a character has up to three bytes. */
const STORED_CHARS = 300000
const PAGES_STORED = 30
const UNSENT = 200
const HOLE_MS = 300
const MARKS_MS = 500
const MARKS_AT_ONCE = 20
const SAVE_MS = 1000
const SYNC_EVERY_MS = 300000
const TYPING_EVERY_MS = 3000
const TYPING_LASTS_MS = 6000
const USERS_FRESH_MS = 600000
const LONGEST_RETRY_MS = 60000
/** Why a message may not have gone out although nothing is wrong with it. */
const PASSING = new Set(['offline', 'timeout', 'unavailable', 'rate_limited'])

/** @type {import('./hongyan').createClient} */
function createClient({ url, signIn, storageKey = 'hongyan', pageSize = 20, ...options }) {
  const adapter = options.adapter || (typeof wx === 'object' && 'connectSocket' in wx ? createAdapter(wx) : createBrowserAdapter())
  const clock = options.clock || { now: Date.now, random: Math.random, setTimeout: (run, ms) => setTimeout(run, ms), clearTimeout: timer => clearTimeout(timer) }
  const randomId = () => Array.from({ length: 20 }, () => Math.floor(clock.random() * 36).toString(36)).join('')

  let me = ''
  let cursor = null
  const rows = new Map()
  let openPeer = ''
  let isVisible = true

  function rowOf(peer) {
    if (!rows.has(peer)) rows.set(peer, newRow(peer))
    return rows.get(peer)
  }

  // ---- storage: `token`, `device`, `users`, the `outbox`, and in `chats` the newest of everything together with the cursor that belongs to it

  const kept = {
    get(key) {
      const text = adapter.storage.get(`${storageKey}.${key}`)
      return text ? JSON.parse(String(text)) : null
    },
    /** Whether there was room. */
    set(key, value) {
      try {
        adapter.storage.set(`${storageKey}.${key}`, JSON.stringify(value))
        return true
      } catch (e) {
        return false
      }
    },
    remove: key => adapter.storage.remove(`${storageKey}.${key}`),
  }

  let saving
  function save() {
    clock.clearTimeout(saving)
    saving = null
    let room = STORED_CHARS
    const all = listed().map((row, i) => ({ ...shortened(row, i < PAGES_STORED ? pageSize : 1), outbox: [] }))
    const stored = all.filter(row => (room -= JSON.stringify(row).length) > 0)
    // A cursor says that everything before it is here. Where that is not so, the list is fetched anew after a restart.
    kept.set('chats', { me, cursor: stored.length === all.length ? cursor : null, rows: stored })
  }
  function saveOutbox() {
    const unsent = [...rows.values()].map(({ peer, outbox }) => [peer, outbox.filter(entry => !entry.seq)]).filter(([, entries]) => entries.length)
    if (kept.set('outbox', unsent)) return true
    // What the server has can be fetched again.
    kept.remove('chats')
    return kept.set('outbox', unsent)
  }
  function restore() {
    const stored = kept.get('chats') || { me: '', cursor: null, rows: [] }
    me = stored.me
    cursor = stored.cursor
    for (const row of stored.rows) rows.set(row.peer, row)
    for (const [peer, entries] of kept.get('outbox') || []) rowOf(peer).outbox = entries
  }
  function forgetUser() {
    for (const key of ['chats', 'outbox', 'users']) kept.remove(key)
    // What is on its way must not go out in another name.
    rows.forEach(row => (row.outbox = []))
    rows.clear()
    users.clear()
    cursor = null
    me = openPeer = ''
  }

  // ---- events: what changes within one turn is told once, after it

  const listeners = new Map()
  const changedPeers = new Set()
  let telling = null
  let toldUnread = 0

  function emit(event, detail) {
    // Each in a turn of its own: one that throws is heard of, and stops nobody.
    for (const run of listeners.get(event) || []) Promise.resolve(detail).then(told => listeners.get(event).has(run) && run(told))
  }
  function changed(row) {
    if (row) changedPeers.add(row.peer)
    saving = saving || clock.setTimeout(save, SAVE_MS)
    telling = telling || Promise.resolve().then(tellChanges)
  }
  function tellChanges() {
    telling = null
    const total = unread()
    changedPeers.forEach(peer => emit('messages', { peer }))
    changedPeers.clear()
    emit('conversations', { total })
    if (total !== toldUnread) emit('unread', { total })
    toldUnread = total
  }

  // ---- what pages see

  const shownIn = row => [...row.window.filter(isMessage), ...row.outbox]
  /** Where nothing but recalls is known, the last of them. */
  const lastOf = row => shownIn(row).pop() || row.window[row.window.length - 1]
  const timeOf = row => lastOf(row).sent_at
  const listed = () => [...rows.values()].filter(lastOf).sort((a, b) => timeOf(b) - timeOf(a))

  function view(row, { seq, sent_at, mine, type, message, extra = {}, client_msg_id = '', state, recalled, target, error }) {
    const mark = seq <= row.peer_read_seq ? 'read' : seq <= row.peer_recv_seq ? 'delivered' : 'sent'
    return {
      key: mine && /^\w+$/.test(client_msg_id) ? `m${client_msg_id}` : `p${seq}`,
      peer: row.peer, mine, type, message, extra, client_msg_id, seq, sent_at, state: !mine ? 'received' : seq ? mark : state,
      recalled: !!(recalled || target), error: error && chatError(error.word, error.message, error),
    }
  }
  const unread = () => [...rows.values()].reduce((total, row) => total + unreadOf(row), 0)

  // ---- what comes

  /** A message or a recall that came live, or was acked. One that does not follow stays out until the hole before it is filled. */
  function receive(row, event) {
    const before = row.to
    row.last_seq = Math.max(row.last_seq, event.seq)
    if (event.seq <= row.to + 1 && !merge(row, [event])) return startOver()
    settle(row, before)
    // What is recalled may have been counted by the server, and be nowhere here.
    if (isBehind(row) || event.target && !isCountable(row)) syncSoon()
  }
  /** After something has come: what it says of the outbox, and what of it is news to somebody who was here. */
  function settle(row, before) {
    const isHere = entry => entry.seq && entry.seq <= row.to || row.window.some(event => event.mine && event.client_msg_id === entry.client_msg_id)
    const left = row.outbox.filter(entry => !isHere(entry))
    if (left.length < row.outbox.length) {
      row.outbox = left
      saveOutbox()
    }
    const news = row.window.filter(event => event.seq > before && isTheirs(event) && isMessage(event))
    if (news.length) stopTyping(row.peer)
    look()
    changed(row)
    tellMarksSoon()
    if (connection.isOnline()) for (const event of news) emit('incoming', { message: view(row, event) })
  }
  /** The server's history is not the one that is known, as after a backup was restored. Only what was not sent is still true. */
  function startOver() {
    cursor = null
    isReset = true
    rows.forEach(row => {
      Object.assign(row, newRow(row.peer), { outbox: row.outbox })
      changed(row)
    })
    syncSoon()
  }

  const mark = (own, theirs) => ({ from_user_openid, to_user_openid, seq }) => {
    const isOwn = from_user_openid === me
    const row = rowOf(isOwn ? to_user_openid : from_user_openid)
    for (const name of isOwn ? own : theirs) row[name] = Math.max(row[name], seq)
    changed(row)
    if (isOwn && !isCountable(row)) syncSoon()
  }
  /** All but messages. Answers to questions are taken where they were asked. */
  const frames = {
    init(frame) {
      limits = frame.limits
      if (!isVisible) connection.send({ type: 'background' })
      sync()
    },
    heart() {},
    ack() {},
    error() {},
    sync({ conversations }) {
      for (const part of conversations) {
        const row = rowOf(part.peer)
        const before = row.to
        if (!overlay(row, part, me)) return startOver()
        settle(row, before)
      }
    },
    read: mark(['read_seq', 'read_told'], ['peer_read_seq']),
    recv: mark(['recv_seq'], ['peer_recv_seq']),
    typing({ from_user_openid: peer }) {
      stopTyping(peer)
      typing.set(peer, clock.setTimeout(() => stopTyping(peer), TYPING_LASTS_MS))
    },
    cleared({ peer, seq }) {
      clear(rowOf(peer), seq)
      settle(rowOf(peer), seq)
    },
  }
  /** Who is typing, and the timer of that. */
  const typing = new Map()
  function stopTyping(peer) {
    clock.clearTimeout(typing.get(peer))
    typing.delete(peer)
    changed()
  }

  // ---- sync: what was missed

  let syncing = null
  let isWantedAgain, isReset, soon, regular
  let holes = 0

  function sync() {
    clock.clearTimeout(soon)
    soon = null
    isWantedAgain = !!syncing
    const done = () => (syncing = null)
    if (!syncing) {
      syncing = catchUp()
      syncing.then(done, done)
    }
    return syncing
  }
  /** Not at once: what is missing may be on its way. */
  function syncSoon() {
    soon = soon || clock.setTimeout(sync, Math.min(LONGEST_WAIT_MS, HOLE_MS * 2 ** holes))
  }
  /**
   * Named are the conversations whose window must go on without a gap: the one on screen, and those with a hole. Of all others the newest page
   * is enough, however much was missed; and the newest message, where there is nothing yet, for pages are fetched when somebody looks at them.
   */
  async function catchUp() {
    clock.clearTimeout(regular)
    let limit = cursor ? pageSize : 1
    for (let hasMore = true; hasMore;) {
      const named = [...rows.values()].filter(row => row.window.length && (row.peer === openPeer || isBehind(row))).slice(0, 200)
      const conversations = Object.fromEntries(named.map(row => [row.peer, row.to]))
      isReset = false
      const question = { type: 'sync', since: cursor, conversations, limit: named.some(isBehind) ? 200 : limit }
      const answer = await connection.ask(question).catch(e => {
        if (!e.status) throw e
        // A cursor of another server's.
        if (e.word === 'bad_frame') isReset = true
        return connection.pause(e.retry_after_ms || 1000)
      })
      if (isReset) cursor = null
      else if (answer) {
        cursor = answer.cursor
        hasMore = answer.has_more
      }
    }
    regular = clock.setTimeout(sync, SYNC_EVERY_MS)
    holes = [...rows.values()].some(isBehind) ? holes + 1 : 0
    if (holes || isWantedAgain) syncSoon()
    connection.settled()
    rows.forEach(flush)
    if (openPeer) open(openPeer).catch(() => {})
    tellMarksSoon()
    changed()
  }

  // ---- outbox

  let limits = { message_bytes: 8192, fields_bytes: 16384 }
  const bytesOf = text => text.replace(/[^\0-\x7f]/gu, c => (c.length > 1 ? '1234' : c > '\u07ff' ? '123' : '12')).length
  const flushing = new Set()

  /** One message of a conversation is on its way at a time, so that one that must be sent again is not overtaken. */
  async function flush(row) {
    if (flushing.has(row)) return
    flushing.add(row)
    for (let entry; connection.isOnline() && (entry = row.outbox.find(each => each.state === 'sending' && !each.seq));) {
      const { type, message, client_msg_id, extra } = entry
      try {
        const { seq, sent_at } = await connection.ask({ ...extra, from_user_openid: undefined, type, to_user_openid: row.peer, message, client_msg_id })
        entry.seq = seq
        entry.sent_at = sent_at
        saveOutbox()
        receive(row, { ...entry })
      } catch ({ word, message, status, code, retry_after_ms = 0 }) {
        // Some sockets are closed for what was sent: that does not go out again by itself.
        if (PASSING.has(word) && retry_after_ms <= LONGEST_RETRY_MS && code !== 1007 && code !== 1009) await connection.pause(retry_after_ms)
        else Object.assign(entry, { state: 'failed', error: { word, message, status, retry_after_ms } })
        saveOutbox()
        changed(row)
      }
    }
    flushing.delete(row)
  }
  function send(peer, text, { type = 'text', extra = {} } = {}) {
    // Half an emoji, as an <input> with a maximal length leaves it, would be refused.
    const message = text.replace(/[\0\ud800-\udfff]/gu, '\ufffd')
    if (bytesOf(message) > limits.message_bytes || bytesOf(JSON.stringify({ ...extra, message })) > limits.fields_bytes) throw chatError('too_large')
    const row = rowOf(peer)
    const entry = { client_msg_id: randomId(), type, message, extra, sent_at: clock.now(), mine: true, seq: 0, state: 'sending' }
    row.outbox.push(entry)
    if ([...rows.values()].reduce((sum, { outbox }) => sum + outbox.length, 0) > UNSENT || !saveOutbox()) {
      row.outbox.pop()
      throw chatError('storage_full')
    }
    flush(row)
    changed(row)
    return view(row, entry)
  }
  /** Takes a failed message out, and back in at the end, where it will be in the conversation. */
  function takeFailed(peer, id, ...again) {
    const row = rowOf(peer)
    const failed = row.outbox.filter(entry => entry.client_msg_id === id && entry.state === 'failed')
    row.outbox = row.outbox.filter(entry => !failed.includes(entry))
    if (again.length) row.outbox.push(...failed.map(entry => ({ ...entry, state: 'sending', error: undefined })))
    saveOutbox()
    changed(row)
    flush(row)
  }

  // ---- marks: how far a device has everything (`recv`), and how far it was read. What the server does not know yet is told again.

  let marksTimer
  function tellMarksSoon() {
    marksTimer = marksTimer || clock.setTimeout(tellMarks, MARKS_MS)
  }
  function tellMarks() {
    marksTimer = null
    let room = MARKS_AT_ONCE
    for (const row of rows.values()) {
      const theirs = lastSeq(row, isTheirs)
      if (theirs > row.recv_seq && room-- > 0 && connection.send({ type: 'recv', to_user_openid: row.peer, seq: theirs })) row.recv_seq = theirs
      if (row.read_seq > row.read_told && room-- > 0) connection.send({ type: 'read', id: 'r', to_user_openid: row.peer, seq: row.read_seq })
    }
    if (room < 0) tellMarksSoon()
  }
  /** Who looks at a chat has read what stands there. */
  function look() {
    const row = rows.get(openPeer)
    if (!row || !isVisible || lastSeq(row, isTheirs) <= row.read_seq) return
    row.read_seq = row.to
    changed(row)
    tellMarksSoon()
  }

  // ---- history

  const loading = new Map()

  /** One at a time for each conversation, whoever asks. */
  function loadOlder(peer) {
    const done = () => loading.delete(peer)
    if (!loading.has(peer)) {
      loading.set(peer, fetchOlder(peer))
      loading.get(peer).then(done, done)
    }
    return loading.get(peer)
  }
  async function fetchOlder(peer) {
    const row = rowOf(peer)
    const before = shownIn(row).length
    // A page may be all recalls, which show nothing.
    for (let hasMore = true; hasMore && shownIn(row).length <= before;) {
      const below = row.to && firstOf(row)
      const { messages, has_more } = await connection.call('GET', `/v1/messages?peer=${peer}&limit=${pageSize}${below ? `&before_seq=${below}` : ''}`)
      hasMore = has_more
      if (!merge(row, messages.map(frame => eventOf(frame, me)))) return startOver()
      if (!has_more) clear(row, (messages.length ? messages[0].seq : below || 1) - 1)
      settle(row, row.to)
    }
  }
  async function open(peer) {
    openPeer = peer
    look()
    const row = rowOf(peer)
    const isUnknown = !row.to && !connection.isOnline()
    if (row.window.filter(isMessage).length < pageSize && (isUnknown || hasOlder(row))) await loadOlder(peer)
  }

  // ---- users

  /** By openid: nickname, path of the avatar, and until when that is new enough. */
  const users = new Map(kept.get('users') || [])
  const wanted = new Set()

  function user(openid) {
    const [nickname, avatar, until] = users.get(openid) || ['', '', 0]
    if (openid && clock.now() > until) {
      // Not again before there was time for an answer.
      users.set(openid, [nickname, avatar, clock.now() + LONGEST_WAIT_MS])
      if (!wanted.size) clock.setTimeout(askUsers, 0)
      wanted.add(openid)
    }
    return { openid, nickname, avatar: avatar && connection.base + avatar }
  }
  function askUsers() {
    const openids = [...wanted].slice(0, 100)
    openids.forEach(openid => wanted.delete(openid))
    if (wanted.size) clock.setTimeout(askUsers, 0)
    // Names are an ornament: where they cannot be had, there are none.
    connection.call('GET', `/v1/users?openids=${openids}`).then(answer => keepUsers(answer.users), () => {})
  }
  function keepUsers(answered) {
    for (const { openid, nickname, avatar } of answered) {
      users.delete(openid)
      users.set(openid, [nickname, avatar, clock.now() + USERS_FRESH_MS])
    }
    kept.set('users', [...users].slice(-500))
    emit('users', { openids: answered.map(({ openid }) => openid) })
  }

  // ---- all of it

  const device = kept.get('device') || randomId()
  kept.set('device', device)
  const connection = createConnection({ adapter, clock, url, signIn, device, kept, on: {
    frame(frame) {
      const peer = frame.from_user_openid === me ? frame.to_user_openid : frame.from_user_openid
      if (frames[frame.type]) frames[frame.type](frame)
      else receive(rowOf(peer), eventOf(frame, me))
    },
    user(openid) {
      if (me && me !== openid) forgetUser()
      me = openid
      changed()
    },
    state: detail => emit('state', detail),
    error: error => emit('error', error),
  } })
  const typedAt = new Map()
  let unwatch = null
  restore()

  /** Somebody looks, or the way to the server is another one: whether the socket still lives, the answer shows. */
  function refresh() {
    connection.hurry()
    look()
    return sync()
  }
  function stop() {
    if (unwatch) unwatch()
    unwatch = null
    connection.stop()
    save()
  }

  return {
    get openid() {
      return me
    },
    get state() {
      return connection.state()
    },
    get error() {
      return connection.error()
    },
    start() {
      unwatch = unwatch || adapter.watch({
        show() {
          isVisible = true
          connection.send({ type: 'foreground' })
          refresh()
        },
        hide() {
          isVisible = false
          connection.send({ type: 'background' })
          save()
        },
        online: refresh,
        offline: connection.drop,
      })
      connection.start()
    },
    stop,
    async signOut() {
      stop()
      const ended = connection.signOut()
      kept.remove('token')
      forgetUser()
      changed()
      await ended
    },
    on(event, run) {
      listeners.set(event, (listeners.get(event) || new Set()).add(run))
      return () => listeners.get(event).delete(run)
    },

    conversations: () => listed().map(row => (
      { peer: row.peer, last: view(row, lastOf(row)), unread: unreadOf(row), updated_at: timeOf(row), typing: typing.has(row.peer) }
    )),
    hasMoreConversations: () => !cursor,
    loadConversations: refresh,
    refresh,
    unread,
    async removeConversation(peer) {
      const { last_seq: seq, outbox } = rowOf(peer)
      await connection.call('DELETE', `/v1/conversations/${peer}?up_to_seq=${seq}`)
      for (const { client_msg_id } of outbox) takeFailed(peer, client_msg_id)
      frames.cleared({ peer, seq })
    },

    messages: peer => shownIn(rowOf(peer)).map(event => view(rowOf(peer), event)),
    hasOlder: peer => hasOlder(rowOf(peer)),
    loadOlder,
    open,
    leave() {
      const row = rows.get(openPeer)
      if (row) Object.assign(row, shortened(row, 100))
      openPeer = ''
    },

    send,
    retry: (peer, id) => takeFailed(peer, id, true),
    discard: (peer, id) => takeFailed(peer, id),
    async recall(peer, target) {
      const { seq, sent_at } = await connection.ask({ type: 'recall', to_user_openid: peer, target_seq: target })
      receive(rowOf(peer), { seq, sent_at, target, type: 'recall', message: '', mine: true })
    },
    typing(peer) {
      if (clock.now() - (typedAt.get(peer) || 0) < TYPING_EVERY_MS) return
      typedAt.set(peer, clock.now())
      connection.send({ type: 'typing', to_user_openid: peer })
    },

    user,
    me: () => user(me),
    async setProfile(profile) {
      keepUsers([await connection.call('PUT', '/v1/me', profile)])
      return user(me)
    },
  }
}

const hongyan = { createClient, createAdapter, createBrowserAdapter }
if (typeof module === 'object') module.exports = hongyan
else globalThis.hongyan = hongyan
})()
