/**
 * hongyan 鸿雁: the SDK. What it does for you stands in hongyan.d.ts; here stands how.
 *
 *   errors         what went wrong, as one kind of object
 *   adapters       all that is asked of `wx` or of a browser
 *   store          what survives a restart, and its bounds
 *   conversations  the rules by which messages come together: plain data, no network
 *   connection     sign-in, the socket, and when to try again
 *   outbox         own messages, until the server has them
 *   client         puts these together
 */
;(function () {
'use strict'

/** @typedef {import('./hongyan')} Hongyan */

// ---------------------------------------------------------------- errors

const HINTS = {
  domain_not_allowed: 'WeChat refuses this address: add it to the request and socket domains of the mini-program (development settings of the console)',
  wrong_appid: 'the server does not know this login: its wechat.appid and secret must be those of this mini-program',
  server_clock: 'the clocks of this device and of the server differ by minutes: set them by the network',
  offline: 'the server cannot be reached',
  timeout: 'the server did not answer in time',
  too_large: 'the message is too long',
  storage_full: 'too many messages wait to be sent on this device',
  replaced: 'the chat is open in another place',
  kicked: 'the operator has closed this session',
  no_login: 'a browser has no wx.login: give createClient a signIn',
}

/** After these, trying again by itself would change nothing. */
const FINAL = new Set(['bad_request', 'unauthorized', 'bad_code', 'openid_mismatch', 'blocked_by_wechat', 'banned', 'not_found',
  'wrong_appid', 'domain_not_allowed', 'replaced', 'kicked', 'too_many_errors'])

/** Close codes that name their reason better than the text beside them. */
const CLOSED = { 4502: 'bad_request', 4503: 'replaced', 4504: 'kicked', 4505: 'banned', 4506: 'too_many_errors' }

/** @returns {import('./hongyan').ChatError} */
function chatError(word, message, more) {
  return Object.assign(new Error(message || HINTS[word] || word), { word }, more)
}

/** Of an error of the server's, as a frame or as the body of an HTTP answer. */
function errorOf({ error, message, status, retry_after_ms }) {
  return chatError(error, message, { status, retry_after_ms })
}

/** Of anything that was thrown: `wx` fails with objects that have an `errMsg`, and browsers with errors of their own. */
function toChatError(thrown) {
  if (thrown && thrown.word) return thrown
  const text = String(thrown && (thrown.errMsg || thrown.message) || thrown)
  if (/domain list|合法域名/.test(text)) return chatError('domain_not_allowed')
  return chatError(/time ?out/i.test(text) ? 'timeout' : 'offline', `${HINTS.offline} (${text})`)
}

/** In UTF-8. */
function bytesOf(text) {
  return text.replace(/[^\0-\x7f]/gu, c => (c.length > 1 ? '1234' : c > '\u07ff' ? '123' : '12')).length
}

// ---------------------------------------------------------------- adapters

/** WeChat suspends a hidden app after this long, and its sockets are gone. */
const SUSPENDED_MS = 5000

/** @type {Hongyan['createAdapter']} */
function createAdapter(anyWx) {
  const wx = /** @type {any} */ (anyWx)
  /** Ends of sockets that, as far as the platform has said, are open. */
  const sockets = new Set()
  return {
    login: () => new Promise((resolve, reject) => wx.login({ success: r => resolve(r.code), fail: reject })),

    request: ({ method, url, headers, body }) => new Promise((resolve, reject) => wx.request({
      method, url, header: headers, data: body, success: r => resolve({ status: r.statusCode, body: r.data }), fail: reject,
    })),

    connect({ url, token }, on) {
      let task
      let isOpen = false
      let isOver = false
      const end = (code, reason) => {
        if (isOver) return
        isOver = true
        sockets.delete(suspended)
        on.close(code, reason)
      }
      const shut = (code, reason) => task && task.close({ code, reason, fail() {} })
      const suspended = () => {
        shut(1000, '')
        end(1006, 'suspended')
      }
      sockets.add(suspended)
      task = wx.connectSocket({
        url, header: { Authorization: `Bearer ${token}` }, protocols: ['hongyan.v1'], fail: e => end(1006, e.errMsg),
      })
      if (task) {
        task.onOpen(() => {
          isOpen = true
          // A socket given up before it opened could not be closed then, and would count as one of the five.
          if (isOver) shut(1000, '')
          else on.open()
        })
        task.onMessage(({ data }) => isOver || typeof data !== 'string' || on.message(data))
        // After a failed handshake nothing else comes. On an open socket the close follows, and has the code.
        task.onError(({ errMsg }) => (isOpen ? setTimeout(end, 1000, 1006, errMsg) : end(1006, errMsg)))
        task.onClose(({ code, reason }) => end(code, reason))
      }
      return {
        send: text => task && task.send({ data: text, fail() {} }),
        close(code, reason) {
          isOver = true
          sockets.delete(suspended)
          shut(code, reason)
        },
      }
    },

    storage: {
      get: key => wx.getStorageSync(key),
      set: (key, value) => wx.setStorageSync(key, value),
      remove: key => wx.removeStorageSync(key),
    },

    watch(on) {
      let hiddenAt = 0
      const hide = () => {
        hiddenAt = Date.now()
        on.hide()
      }
      const show = () => {
        // Not every version tells that it has dropped the sockets.
        if (hiddenAt && Date.now() - hiddenAt >= SUSPENDED_MS) sockets.forEach(end => end())
        hiddenAt = 0
        on.show()
      }
      const network = ({ isConnected }) => (isConnected ? on.online() : on.offline())
      wx.onAppHide(hide)
      wx.onAppShow(show)
      wx.onNetworkStatusChange(network)
      return () => {
        wx.offAppHide(hide)
        wx.offAppShow(show)
        wx.offNetworkStatusChange(network)
      }
    },
  }
}

/** @type {Hongyan['createBrowserAdapter']} */
function createBrowserAdapter() {
  return {
    login: () => Promise.reject(chatError('bad_request', HINTS.no_login)),

    async request({ method, url, headers, body }) {
      const answer = await fetch(url, { method, headers, body: body && JSON.stringify(body) })
      // Not every answer has a body, and a proxy's is not JSON.
      return { status: answer.status, body: await answer.json().catch(() => undefined) }
    },

    connect({ url, token }, on) {
      // A browser cannot set headers, and a token does not belong into a URL.
      const socket = new WebSocket(url, ['hongyan.v1', `bearer.${token}`])
      socket.onopen = () => on.open()
      socket.onmessage = ({ data }) => on.message(data)
      socket.onclose = ({ code, reason }) => on.close(code, reason)
      return {
        send: text => socket.send(text),
        close(code, reason) {
          socket.onopen = socket.onmessage = socket.onclose = null
          socket.close(code, reason)
        },
      }
    },

    storage: {
      get: key => localStorage.getItem(key),
      set: (key, value) => localStorage.setItem(key, String(value)),
      remove: key => localStorage.removeItem(key),
    },

    watch(on) {
      const looked = () => (document.hidden ? on.hide() : on.show())
      const hide = () => on.hide()
      const online = () => on.online()
      const offline = () => on.offline()
      document.addEventListener('visibilitychange', looked)
      addEventListener('pagehide', hide)
      addEventListener('online', online)
      addEventListener('offline', offline)
      if (document.hidden) on.hide()
      return () => {
        document.removeEventListener('visibilitychange', looked)
        removeEventListener('pagehide', hide)
        removeEventListener('online', online)
        removeEventListener('offline', offline)
      }
    },
  }
}

// ---------------------------------------------------------------- store

/** Characters: a key of WeChat's holds 1 MB, all together 10 MB, and a character has up to three bytes. */
const KEY_CHARS = 300000
const PAGE_CHARS = 16000
const PAGES = 100

/**
 * Everything is written as JSON text under `prefix.name`, or under `prefix.openid.name` where it belongs to a user.
 * Cached pages are the ballast: they go first where room is needed.
 */
function createStore(storage, prefix) {
  let user = ''
  /** Whose pages are stored, the newest conversation first. */
  let pages = []
  const keyOf = name => `${prefix}.${user}.${name}`

  function read(key) {
    try {
      const text = storage.get(key)
      return text ? JSON.parse(text) : undefined
    } catch (e) {
      return undefined
    }
  }
  /** Whether it could be kept. */
  function write(key, value) {
    const text = JSON.stringify(value)
    if (text.length > KEY_CHARS) return false
    for (;;) {
      try {
        storage.set(key, text)
        return true
      } catch (e) {
        if (!pages.length) return false
        storage.remove(keyOf(`page.${pages.pop()}`))
      }
    }
  }

  return {
    shared: { get: name => read(`${prefix}.${name}`), set: (name, value) => write(`${prefix}.${name}`, value) },
    get: name => read(keyOf(name)),
    set: (name, value) => write(keyOf(name), value),
    page: peer => read(keyOf(`page.${peer}`)),

    setUser(openid) {
      user = openid
      pages = read(keyOf('pages')) || []
    },
    /** Keeps the pages of these conversations, the newest first, and no others; `changed` says which are to be written. */
    setPages(peers, changed, pageOf) {
      const kept = peers.slice(0, PAGES)
      for (const peer of pages) if (!kept.includes(peer)) storage.remove(keyOf(`page.${peer}`))
      // Those that are there already may have to make room for those that are written.
      const before = new Set(pages)
      pages = kept.filter(peer => before.has(peer) || changed.has(peer))
      for (const peer of kept) {
        if (!changed.has(peer)) continue
        const page = pageOf(peer)
        while (page.length && JSON.stringify(page).length > PAGE_CHARS) page.shift()
        write(keyOf(`page.${peer}`), page)
      }
      write(keyOf('pages'), pages)
    },
    forgetUser() {
      for (const peer of pages) storage.remove(keyOf(`page.${peer}`))
      pages = []
      for (const name of ['pages', 'list', 'outbox', 'users']) storage.remove(keyOf(name))
      storage.remove(`${prefix}.credentials`)
    },
  }
}

// ---------------------------------------------------------------- conversations
//
// A row is what is known of one conversation. Its window holds events (messages, and recalls) with rising seqs and no hole, and ends at `to`.
// What comes live and does not follow on `to` waits in `held`. `unread` is what the server counted among the first `unread_at`.

function newRow(peer) {
  return {
    peer, last_seq: 0, cleared_seq: 0, read_seq: 0, read_told: 0, recv_seq: 0, peer_read_seq: 0, peer_recv_seq: 0,
    unread: 0, unread_at: 0, to: 0, window: [], held: new Map(), isPageLoaded: false, typing: null,
  }
}

function eventOf(frame, me) {
  const { type, status, from_user_openid, to_user_openid, seq, sent_at, client_msg_id, message, target_seq, recalled, ...extra } = frame
  return {
    seq, sent_at, type, client_msg_id, recalled, target: target_seq, extra,
    mine: from_user_openid === me, message: typeof message === 'string' ? message : '',
  }
}

const firstOf = row => row.to - row.window.length + 1
const hasOlder = row => firstOf(row) > row.cleared_seq + 1
const isMessage = event => !event.target
const isTheirs = event => !event.mine

/** The newest event that passes. */
function lastOf(row, passes) {
  for (let i = row.window.length - 1; i >= 0; i--) if (passes(row.window[i])) return row.window[i]
}

/** Up to where nothing is unread: what was read or cleared, or written oneself (a recall says nothing of that). */
function floorOf(row) {
  const own = lastOf(row, event => event.mine && isMessage(event))
  return Math.max(row.read_seq, row.cleared_seq, own ? own.seq : 0)
}

/** Whether all that may be unread is in the window, and so can be counted here. */
function isCountable(row) {
  return floorOf(row) >= firstOf(row) - 1 && row.to >= row.unread_at
}

function unreadOf(row, me) {
  if (row.peer === me) return 0
  const isWhole = isCountable(row)
  const above = isWhole ? floorOf(row) : row.unread_at
  const here = row.window.filter(event => event.seq > above && isMessage(event) && !event.recalled && isTheirs(event))
  return here.length + (isWhole ? 0 : row.unread)
}

/**
 * Brings a stretch of events into the window; what is there already is dropped. Where a gap would stay, the window begins anew with the
 * stretch: what was before is in history. False where it contradicts what is known: the server has another history than it had.
 */
function merge(row, stretch) {
  const events = stretch.filter(event => event.seq > row.cleared_seq)
  if (!events.length || events.some((event, i) => event.seq !== events[0].seq + i)) return true
  const { window } = row
  const first = firstOf(row)
  const newest = window[window.length - 1]
  const end = events[events.length - 1]
  if (events[0].seq > row.to + 1) {
    row.window = events
  } else if (end.seq < first - 1) {
    return !newest || end.sent_at <= newest.sent_at
  } else {
    const known = event => window[event.seq - first]
    if (events.some(event => known(event) && known(event).sent_at !== event.sent_at)) return false
    for (const event of events) if (known(event) && event.recalled) window[event.seq - first] = event
    row.window = [...events.filter(event => event.seq < first), ...window, ...events.filter(event => event.seq > row.to)]
  }
  row.to = Math.max(row.to, end.seq)
  row.last_seq = Math.max(row.last_seq, row.to)
  const begin = firstOf(row)
  for (const { target } of row.window) {
    const recalled = target && row.window[target - begin]
    if (recalled && !recalled.recalled) row.window[target - begin] = { ...recalled, message: '', extra: {}, recalled: true }
  }
  return true
}

/** Forgets everything up to `seq`. */
function clear(row, seq) {
  row.cleared_seq = Math.max(row.cleared_seq, seq)
  row.window = row.window.filter(event => event.seq > row.cleared_seq)
  row.to = Math.max(row.to, row.cleared_seq)
}

/** What the server says of a conversation, in a sync or in the list. */
function overlay(row, said, me) {
  row.last_seq = Math.max(row.last_seq, said.last_seq)
  row.read_seq = Math.max(row.read_seq, said.read_seq)
  row.read_told = said.read_seq
  row.recv_seq = said.recv_seq
  row.peer_read_seq = Math.max(row.peer_read_seq, said.peer_read_seq)
  row.peer_recv_seq = Math.max(row.peer_recv_seq, said.peer_recv_seq)
  if (said.last_seq >= row.unread_at) {
    row.unread = said.unread
    row.unread_at = said.last_seq
  }
  clear(row, said.cleared_seq)
  const fits = merge(row, said.messages.map(frame => eventOf(frame, me)))
  if (!row.window.length) row.to = Math.max(row.to, said.last_seq)
  return fits
}

/** Takes from `held` what follows now; gives what came live and has found its place. */
function advance(row) {
  for (let event; (event = row.held.get(row.to + 1));) merge(row, [event])
  const placed = []
  row.held.forEach((event, seq) => {
    if (seq <= row.to) {
      placed.push(event)
      row.held.delete(seq)
    }
  })
  return placed.sort((a, b) => a.seq - b.seq)
}

/** Keeps only the newest `size` events: older ones are in history. */
function shorten(row, size, me) {
  row.unread = unreadOf(row, me)
  row.unread_at = Math.max(row.unread_at, row.to)
  row.window = row.window.slice(-size)
}

/** What is kept of a row beside its page: the newest message, so that a list can be shown from one key. */
function summaryOf(row, me) {
  const { peer, last_seq, cleared_seq, read_seq, read_told, recv_seq, peer_read_seq, peer_recv_seq, to } = row
  const last = lastOf(row, isMessage)
  const size = last && row.to - last.seq < 3 ? row.to - last.seq + 1 : 1
  return {
    peer, last_seq, cleared_seq, read_seq, read_told, recv_seq, peer_read_seq, peer_recv_seq, to,
    unread: unreadOf(row, me), unread_at: Math.max(row.unread_at, to), window: row.window.slice(-size),
  }
}

// ---------------------------------------------------------------- connection

const ANSWER_MS = 10000
const FIRST_WAIT_MS = 500
const LONGEST_WAIT_MS = 30000
const CLOCKS_MAY_DIFFER_MS = 300000

/**
 * Signs in, holds one socket, and opens it again. It hands on whole frames and knows nothing of conversations.
 * Each attempt has a number: what an earlier one still has to say is not heard.
 */
function createConnection({ adapter, clock, url, signIn, store, device }, on) {
  const base = url.replace(/\/+$/, '')
  let state = 'stopped'
  let error
  let attempt = 0
  let tries = 0
  let socket = null
  let isUp = false
  let credentials = store.shared.get('credentials')
  let renewing = null
  let isRenewed = false
  let farewell
  /** The next step of its own accord: a retry, or the end of an attempt that takes too long. */
  let timer
  let heart
  let silence

  const after = (ms, run) => clock.setTimeout(run, ms)

  function turn(next, why, retryAt) {
    state = next
    error = why
    on.state({ state, error, retryAt })
  }

  /** Its result, or `timeout`. */
  function timely(promise) {
    return new Promise((resolve, reject) => {
      const late = after(ANSWER_MS, () => reject(chatError('timeout')))
      promise.then(resolve, e => reject(toChatError(e))).then(() => clock.clearTimeout(late))
    })
  }

  async function request(method, path, body, bearer) {
    const headers = {}
    if (bearer) headers.Authorization = `Bearer ${bearer}`
    if (body) headers['Content-Type'] = 'application/json'
    const answer = await timely(adapter.request({ method, url: base + path, headers, body }))
    if (answer.status < 300) return answer.body
    const said = answer.body && answer.body.error ? answer.body : { error: answer.status === 404 ? 'not_found' : 'unavailable' }
    throw errorOf({ ...said, status: answer.status })
  }

  const login = code => request('POST', '/v1/login', { code })

  /** A code works once and may have grown old; a second one that is refused was made for another mini-program. */
  async function wxSignIn() {
    const once = async () => login(await timely(adapter.login()))
    try {
      return await once()
    } catch (first) {
      if (first.word !== 'bad_code') throw first
    }
    return once().catch(second => {
      throw second.word === 'bad_code' ? chatError('wrong_appid') : second
    })
  }

  async function signInAnew() {
    const got = await (signIn ? signIn({ login }) : wxSignIn())
    if (!got || !got.openid || !got.token) throw chatError('unauthorized', 'signIn gave no openid and token')
    const now = clock.now()
    const lives = got.expires_in * 1000
    credentials = { openid: got.openid, token: got.token, renew_at: now + lives * 0.9, ends_at: now + lives }
    store.shared.set('credentials', credentials)
    if (on.user(got.openid) && socket) lost(chatError('offline'))
  }

  /** A token that holds. Where a new one cannot be had, the old one is used until its end. */
  async function token() {
    if (credentials && clock.now() < credentials.renew_at) return credentials.token
    if (!renewing) {
      renewing = signInAnew().then(() => (renewing = null), e => {
        renewing = null
        throw toChatError(e)
      })
    }
    try {
      await renewing
    } catch (e) {
      if (!credentials || clock.now() >= credentials.ends_at) throw e
    }
    return credentials.token
  }

  function refuseToken(refused) {
    if (credentials && credentials.token === refused) credentials.renew_at = credentials.ends_at = 0
  }

  async function call(method, path, body) {
    const first = await token()
    try {
      return await request(method, path, body, first)
    } catch (e) {
      if (e.status !== 401) throw e
      refuseToken(first)
    }
    return request(method, path, body, await token())
  }

  async function connect() {
    const mine = ++attempt
    clock.clearTimeout(timer)
    turn('connecting')
    farewell = undefined
    try {
      const bearer = await token()
      if (mine !== attempt) return
      timer = after(ANSWER_MS, () => lost(chatError('timeout')))
      const path = `/${credentials.openid}?device=${device}`
      const only = run => (...said) => mine === attempt && run(...said)
      const link = adapter.connect({ url: base.replace(/^http/, 'ws') + path, token: bearer }, {
        open() {},
        message: only(heard),
        close: only((code, reason) => closed(code, reason || '', bearer)),
      })
      if (mine === attempt) socket = link
      else link.close(1000, '')
    } catch (e) {
      if (mine === attempt) fail(toChatError(e))
    }
  }

  function heard(text) {
    clock.clearTimeout(silence)
    let frame
    try {
      frame = JSON.parse(text)
    } catch (e) {
      return
    }
    if (!frame) return
    if (frame.type === 'init') {
      clock.clearTimeout(timer)
      isUp = true
      const differ = frame.server_time - clock.now()
      if (Math.abs(differ) > CLOCKS_MAY_DIFFER_MS) on.clock(chatError('server_clock'))
      beat(frame.heartbeat_ms || LONGEST_WAIT_MS)
      on.up(frame)
    } else {
      // Why a session is closed stands in the frame before its end.
      farewell = frame.type === 'error' ? frame : undefined
      on.frame(frame)
    }
  }

  /** A dead socket looks like a silent one: each heart wants an answer. */
  function beat(ms) {
    heart = after(ms, () => {
      send({ type: 'heart', id: 'h' })
      clock.clearTimeout(silence)
      silence = after(ANSWER_MS, () => lost(chatError('timeout')))
      token().catch(() => {})
      on.beat()
      beat(ms)
    })
  }

  function send(frame) {
    if (!isUp || !socket) return false
    try {
      socket.send(JSON.stringify(frame))
    } catch (e) {
      return false
    }
    return true
  }

  /** Gives up the socket, if there is one. */
  function hangUp() {
    attempt++
    for (const each of [timer, heart, silence]) clock.clearTimeout(each)
    const link = socket
    const wasUp = isUp
    socket = null
    isUp = false
    if (link) link.close(1000, '')
    if (wasUp) on.down()
  }

  function closed(code, reason, bearer) {
    socket = null
    if (code >= 4500) {
      const word = CLOSED[code] || farewell && farewell.error || reason || 'unauthorized'
      // Tokens end: one sign-in, and if that does not help, none.
      if (word === 'unauthorized' && !isRenewed) {
        hangUp()
        isRenewed = true
        refuseToken(bearer)
        return connect()
      }
      return fail(chatError(word, farewell && farewell.error === word && farewell.message))
    }
    const wait = /retry_ms=(\d+)/.exec(reason)
    const why = farewell ? errorOf(farewell) : toChatError(reason || `closed with ${code}`)
    lost(Object.assign(why, wait && { retry_after_ms: Number(wait[1]) }), code)
  }

  /** The socket is gone, or as good as gone. */
  function lost(why, code) {
    if (code) on.lost(code)
    fail(why)
  }

  function fail(why) {
    hangUp()
    if (FINAL.has(why.word)) return turn('refused', why)
    const jitter = clock.random() * Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** tries++)
    const wait = why.retry_after_ms === undefined ? jitter : why.retry_after_ms
    timer = after(wait, connect)
    turn('waiting', why, clock.now() + wait)
  }

  return {
    state: () => state,
    error: () => error,
    openid: () => credentials ? credentials.openid : '',
    base,
    send,
    call,
    lost: () => lost(chatError('timeout')),
    /** Everything is here: the attempt has succeeded. */
    settled() {
      tries = 0
      isRenewed = false
      if (state !== 'online') turn('online')
    },
    start() {
      if (state !== 'stopped' && state !== 'refused') return
      tries = 0
      isRenewed = false
      connect()
    },
    /** Somebody looks, or the network is back: no reason to wait any longer. */
    hurry() {
      if (state !== 'waiting') return
      tries = 0
      connect()
    },
    offline() {
      if (state === 'connecting' || state === 'online') lost(chatError('offline'))
    },
    stop() {
      hangUp()
      turn('stopped')
    },
    /** Ends the token, without getting a new one for that. */
    async signOut() {
      const last = credentials
      credentials = undefined
      if (last) await request('POST', '/v1/logout', {}, last.token).catch(e => {
        if (e.status !== 401) throw e
      })
    },
  }
}

// ---------------------------------------------------------------- outbox

const OUTBOX = 500
/** A wait that is longer is no hiccup: the user is told, and may try again herself. */
const LONGEST_RETRY_MS = 60000
const PASSING = new Set(['unavailable', 'rate_limited', 'internal'])

/**
 * What this user wrote, in order, until the server has it and it has found its place in the conversation. Of each conversation one message is on
 * its way at a time: a message that must be sent again is not overtaken.
 */
function createOutbox({ clock, store, send, isOnline, changed }) {
  let entries = []
  /** By peer: the entry that is on its way or waits to be sent again, and the timer of that. */
  const busy = new Map()

  const save = () => store.set('outbox', entries.filter(entry => !entry.seq))
  const find = (peer, id) => entries.find(entry => entry.peer === peer && entry.client_msg_id === id)

  function rest(peer, entry, ms) {
    const now = busy.get(peer)
    if (now) clock.clearTimeout(now.timer)
    busy.set(peer, { entry, timer: clock.setTimeout(() => release(peer), ms) })
  }

  function release(peer) {
    const now = busy.get(peer)
    if (now) clock.clearTimeout(now.timer)
    busy.delete(peer)
    pump(peer)
  }

  function pump(peer) {
    if (!isOnline() || busy.has(peer)) return
    const entry = entries.find(one => one.peer === peer && one.state === 'sending' && !one.seq)
    if (!entry) return
    const { type, message, client_msg_id, extra } = entry
    send({ ...extra, id: undefined, from_user_openid: undefined, type, to_user_openid: peer, message, client_msg_id })
    rest(peer, entry, ANSWER_MS)
  }

  function remove(entry) {
    entries = entries.filter(one => one !== entry)
    const now = busy.get(entry.peer)
    if (now && now.entry === entry) release(entry.peer)
  }

  function fail(entry, error) {
    const { word, message, status, retry_after_ms } = error
    entry.state = 'failed'
    entry.error = { word, message, status, retry_after_ms }
    save()
    release(entry.peer)
    changed(entry.peer)
  }

  return {
    of: peer => entries.filter(entry => entry.peer === peer),
    peers: () => new Set(entries.map(entry => entry.peer)),

    /** Those of the user who has signed in, and what was written before that was known. */
    load(early) {
      entries = [...(store.get('outbox') || []), ...early]
      save()
    },
    /** Gives what there was. */
    reset() {
      const all = entries
      entries = []
      return all
    },

    add(entry) {
      if (entries.length >= OUTBOX) throw chatError('storage_full')
      entries.push(entry)
      if (!save()) {
        entries.pop()
        throw chatError('storage_full')
      }
      pump(entry.peer)
    },
    retry(peer, id) {
      const entry = find(peer, id)
      if (!entry || entry.state !== 'failed') return
      // It stands at the end from now on, for that is where it will be in the conversation.
      entries = [...entries.filter(one => one !== entry), entry]
      entry.state = 'sending'
      delete entry.error
      save()
      changed(peer)
      pump(peer)
    },
    discard(peer, id) {
      const entry = find(peer, id)
      if (!entry || entry.state !== 'failed') return
      remove(entry)
      save()
      changed(peer)
    },

    flush() {
      for (const peer of this.peers()) pump(peer)
    },
    down() {
      busy.forEach(({ timer }) => clock.clearTimeout(timer))
      busy.clear()
    },

    /** Its entry, which stays until `settle` finds it in the conversation; nothing where it is settled already. */
    acked({ to_user_openid, client_msg_id, seq, sent_at }) {
      const entry = find(to_user_openid, client_msg_id)
      if (!entry) return
      Object.assign(entry, { seq, sent_at, state: 'sending' })
      delete entry.error
      save()
      const now = busy.get(entry.peer)
      if (now && now.entry === entry) release(entry.peer)
      changed(entry.peer)
      return entry
    },
    refused(frame) {
      const entry = entries.find(one => one.client_msg_id === frame.client_msg_id)
      if (!entry || entry.seq) return
      const wait = frame.retry_after_ms || 1000
      if (!PASSING.has(frame.error) || wait > LONGEST_RETRY_MS) fail(entry, errorOf(frame))
      else rest(entry.peer, entry, wait)
    },
    /** The socket was closed for what was sent: that is never sent again by itself. */
    poisoned(error) {
      for (const { entry } of [...busy.values()]) fail(entry, error)
    },
    /** Lets go what stands in the conversation now, also what was never acked. */
    settle(row) {
      const mine = entries.filter(entry => entry.peer === row.peer)
      if (!mine.length) return
      const here = new Set(row.window.filter(event => event.mine).map(event => event.client_msg_id))
      const done = mine.filter(entry => here.has(entry.client_msg_id) || entry.seq && entry.seq <= row.to)
      done.forEach(remove)
      if (done.length) save()
    },
  }
}

// ---------------------------------------------------------------- client

const SYNC_EVERY_MS = 300000
const HOLE_MS = 300
const MARKS_MS = 500
const MARKS_AT_ONCE = 20
const SAVE_MS = 1000
const TYPING_EVERY_MS = 3000
const TYPING_LASTS_MS = 6000
const USERS_FRESH_MS = 600000
const USERS_AT_ONCE = 100
/** Conversations of the list that are kept over a restart, and messages of a conversation that is not on screen. */
const ROWS_KEPT = 200
const WINDOW_KEPT = 200

/** @type {Hongyan['createClient']} */
function createClient(options) {
  const { url, signIn, storageKey = 'hongyan', pageSize = 20 } = options
  const adapter = options.adapter || (typeof wx === 'object' && 'connectSocket' in wx ? createAdapter(wx) : createBrowserAdapter())
  const clock = options.clock || {
    now: () => Date.now(), setTimeout: (run, ms) => setTimeout(run, ms), clearTimeout: timer => clearTimeout(timer), random: () => Math.random(),
  }
  const store = createStore(adapter.storage, storageKey)
  let questions = 0
  const nextId = () => `q${++questions}`
  const randomId = () => Array.from({ length: 20 }, () => Math.floor(clock.random() * 36).toString(36)).join('')

  let me
  let rows = new Map()
  let cursor = null
  /** Conversations of the server's list that are not here, and where to go on with it. */
  let hasMoreRows = false
  let listCursor = ''
  let openPeer = ''
  const typedAt = new Map()
  let isVisible = true
  let unwatch = null
  let isClockTold = false
  let limits = { message_bytes: 8192, fields_bytes: 16384 }

  // ---- events: what changes within one turn is told once, after it

  const listeners = new Map()
  const dirty = { peers: new Set(), list: false, isScheduled: false, unread: 0 }
  const unsaved = new Set()
  let saving

  function emit(event, detail) {
    // Each in a turn of its own: a listener that throws is heard of, and stops nobody.
    for (const run of listeners.get(event) || []) Promise.resolve().then(() => listeners.get(event).has(run) && run(detail))
  }
  function changed(peer) {
    if (peer) {
      dirty.peers.add(peer)
      unsaved.add(peer)
    }
    if (!saving) saving = clock.setTimeout(save, SAVE_MS)
    if (dirty.isScheduled) return
    dirty.isScheduled = true
    Promise.resolve().then(() => {
      dirty.isScheduled = false
      dirty.peers.forEach(each => emit('messages', { peer: each }))
      dirty.peers.clear()
      const total = unread()
      emit('conversations', { total })
      if (total !== dirty.unread) emit('unread', { total })
      dirty.unread = total
    })
  }

  // ---- what is kept over a restart

  function sortedRows() {
    const listed = [...rows.values()].filter(row => row.window.length || row.last_seq > row.cleared_seq || outbox.of(row.peer).length)
    return listed.map(row => ({ row, at: updatedAt(row) })).sort((a, b) => b.at - a.at).map(({ row }) => row)
  }
  function updatedAt(row) {
    const newest = row.window[row.window.length - 1]
    const own = outbox.of(row.peer).pop()
    return Math.max(newest ? newest.sent_at : 0, own ? own.sent_at : 0)
  }

  /** Pages first, and last the list with the cursor: a cursor must never say that something is here which is not. */
  function save() {
    clock.clearTimeout(saving)
    saving = null
    if (!me) return
    const sorted = sortedRows()
    store.setPages(sorted.map(row => row.peer), unsaved, peer => rowOf(peer).window.slice(-pageSize))
    unsaved.clear()
    let room = KEY_CHARS - 1000
    const kept = []
    sorted.forEach((row, i) => {
      const summary = summaryOf(row, me)
      // Whatever is unread is kept, so that the total stays right.
      if (i >= ROWS_KEPT && !summary.unread) return
      room -= JSON.stringify(summary).length + 1
      if (room > 0) kept.push(summary)
    })
    store.set('list', { cursor, rows: kept, hasMore: hasMoreRows || kept.length < sorted.length })
  }

  /** True where it is another user than before. */
  function setUser(openid) {
    if (openid === me) return false
    let early = []
    if (me) {
      save()
      outbox.reset()
    } else {
      early = outbox.reset()
      store.set('outbox', [])
    }
    me = openid
    rows = new Map()
    store.setUser(openid)
    const list = store.get('list') || { cursor: null, rows: [], hasMore: false }
    cursor = list.cursor
    hasMoreRows = list.hasMore
    for (const kept of list.rows) rows.set(kept.peer, { ...newRow(kept.peer), ...kept })
    users = new Map(store.get('users') || [])
    outbox.load(early)
    outbox.peers().forEach(rowOf)
    changed()
    return true
  }

  function rowOf(peer) {
    let row = rows.get(peer)
    if (!row) rows.set(peer, row = newRow(peer))
    if (!row.isPageLoaded) {
      row.isPageLoaded = true
      merge(row, store.page(peer) || [])
    }
    return row
  }

  // ---- the parts

  const outbox = createOutbox({ clock, store, send: frame => connection.send(frame), isOnline: () => connection.state() === 'online', changed })

  let device = store.shared.get('device')
  if (!device) store.shared.set('device', device = randomId())

  const connection = createConnection({ adapter, clock, url, signIn, store, device }, {
    user: setUser,
    state: detail => {
      if (detail.state !== 'online' && detail.state !== 'connecting') rejectAll(waiting, detail.error || chatError('offline'))
      emit('state', detail)
    },
    clock(error) {
      if (!isClockTold) emit('error', error)
      isClockTold = true
    },
    up(init) {
      limits = init.limits || limits
      if (!isVisible) connection.send({ type: 'background' })
      if (openPeer) connection.send({ type: 'open', to_user_openid: openPeer })
      sync()
    },
    down() {
      outbox.down()
      endSync()
      rejectAll([...asked.values()], chatError('offline'))
      asked.clear()
    },
    lost(code) {
      if (code === 1007 || code === 1009) outbox.poisoned(chatError(code === 1009 ? 'too_large' : 'bad_frame'))
    },
    beat: owe,
    frame(frame) {
      const handle = frames[frame.type]
      if (handle) handle(frame)
      else if (frame.seq > 0) receive(frame.from_user_openid === me ? frame.to_user_openid : frame.from_user_openid, eventOf(frame, me))
    },
  })

  // ---- catching up

  /** The sync that is under way, with what has come of its answer. */
  let syncing = null
  let isWantedAgain = false
  /** Messages of a conversation that one sync asks for, until it has come to its end. */
  let limit = 0
  let holes = 0
  let soon
  /** Promises of `refresh`. */
  let waiting = []
  let regular

  /**
   * Asks for everything that was missed. Named are the conversations whose window must go on without a gap: the one on screen, and those with a
   * hole. Of all others the newest page is enough, however much was missed.
   */
  function sync() {
    clock.clearTimeout(soon)
    soon = null
    if (syncing) return void (isWantedAgain = true)
    const named = [...rows.values()].filter(row => row.window.length && (row.peer === openPeer || row.held.size || row.to < row.last_seq)).slice(0, 200)
    const isFar = named.some(row => row.to < row.last_seq)
    // The first one of a new device is about the list: pages are loaded when they are looked at.
    limit = limit || (cursor ? pageSize : 1)
    const id = nextId()
    const conversations = Object.fromEntries(named.map(row => [row.peer, row.to]))
    if (!connection.send({ type: 'sync', id, since: cursor, conversations, limit: isFar ? 200 : limit })) return
    syncing = { id, said: new Map(), timer: clock.setTimeout(connection.lost, ANSWER_MS) }
  }
  function endSync() {
    for (const timer of [soon, regular, syncing && syncing.timer]) clock.clearTimeout(timer)
    syncing = soon = null
    limit = 0
  }
  /** At once is too soon: what is missing may be on its way. */
  function syncSoon() {
    if (!soon) soon = clock.setTimeout(sync, Math.min(LONGEST_WAIT_MS, HOLE_MS * 2 ** holes))
  }

  function synced(answer) {
    let isSane = true
    syncing.said.forEach(said => {
      const row = rowOf(said.peer)
      isSane = overlay(row, said, me) && isSane
      settle(row)
    })
    const asked = limit
    endSync()
    if (!isSane) return forget()
    cursor = answer.cursor
    changed()
    if (answer.has_more) {
      limit = asked
      return sync()
    }
    const hasHoles = [...rows.values()].some(row => row.held.size)
    holes = hasHoles ? holes + 1 : 0
    if (hasHoles || isWantedAgain) syncSoon()
    isWantedAgain = false
    connection.settled()
    regular = clock.setTimeout(sync, SYNC_EVERY_MS)
    waiting.splice(0).forEach(({ resolve }) => resolve())
    outbox.flush()
    look()
    owe()
    if (openPeer) loadPage(openPeer).catch(() => {})
  }

  /** The server's history is not the one that is known here, as after a backup was restored: all but the outbox is fetched anew. */
  function forget() {
    rows.forEach((row, peer) => changed(peer))
    rows = new Map()
    cursor = null
    sync()
  }

  /** After a row has got something: what follows, what of it is new, and what it says of the outbox. */
  function settle(row) {
    const placed = advance(row)
    outbox.settle(row)
    if (row.peer !== openPeer && row.window.length > WINDOW_KEPT) shorten(row, pageSize, me)
    changed(row.peer)
    const theirs = placed.filter(event => isTheirs(event) && isMessage(event))
    if (theirs.length) stopTyping(row)
    if (row.peer === openPeer) look()
    for (const event of theirs) emit('incoming', { message: view(row, event) })
    owe(row)
  }

  /** A message or a recall that came live, or was acked. */
  function receive(peer, event) {
    const row = rowOf(peer)
    if (event.seq <= row.to) {
      if (!merge(row, [event])) return forget()
      return settle(row)
    }
    row.held.set(event.seq, event)
    row.last_seq = Math.max(row.last_seq, event.seq)
    settle(row)
    // What was recalled may have been counted as unread by the server, and be nowhere here.
    if (row.held.size || event.target && !isCountable(row)) syncSoon()
  }

  // ---- frames

  /** Questions with one answer, by id. */
  const asked = new Map()

  function ask(frame) {
    return new Promise((resolve, reject) => {
      const id = nextId()
      if (connection.state() !== 'online' || !connection.send({ ...frame, id })) return reject(chatError('offline'))
      const timer = clock.setTimeout(() => answerTo(id).reject(chatError('timeout')), ANSWER_MS)
      asked.set(id, { resolve, reject, timer })
    })
  }
  function answerTo(id) {
    const question = asked.get(id)
    asked.delete(id)
    if (question) clock.clearTimeout(question.timer)
    return question
  }
  function rejectAll(questions, error) {
    questions.splice(0).forEach(({ reject, timer }) => {
      clock.clearTimeout(timer)
      reject(error)
    })
  }

  const frames = {
    heart() {},
    ack(frame) {
      const question = answerTo(frame.id)
      if (question) return question.resolve(frame)
      const entry = outbox.acked(frame)
      if (!entry) return
      const { peer, seq, sent_at, type, client_msg_id, message, extra } = entry
      receive(peer, { seq, sent_at, type, client_msg_id, message, extra, mine: true })
    },
    error(frame) {
      const question = answerTo(frame.id)
      if (question) return question.reject(errorOf(frame))
      if (syncing && frame.id === syncing.id) {
        endSync()
        // A cursor of another server, or of another time.
        if (frame.error === 'bad_frame') cursor = null
        soon = clock.setTimeout(sync, frame.retry_after_ms || 1000)
      } else if (frame.client_msg_id) {
        outbox.refused(frame)
      }
    },
    sync(frame) {
      if (!syncing || frame.id !== syncing.id) return
      clock.clearTimeout(syncing.timer)
      syncing.timer = clock.setTimeout(connection.lost, ANSWER_MS)
      for (const part of frame.conversations) {
        const said = syncing.said.get(part.peer)
        if (said) said.messages.push(...part.messages)
        else syncing.said.set(part.peer, part)
      }
      if (frame.cursor) synced(frame)
    },
    read(frame) {
      mark(frame, 'read_seq', 'peer_read_seq')
    },
    recv(frame) {
      mark(frame, 'recv_seq', 'peer_recv_seq')
    },
    typing({ from_user_openid }) {
      const row = rowOf(from_user_openid)
      clock.clearTimeout(row.typing)
      row.typing = clock.setTimeout(() => stopTyping(row), TYPING_LASTS_MS)
      changed()
    },
    cleared({ peer, seq }) {
      clear(rowOf(peer), seq)
      settle(rowOf(peer))
    },
  }

  function mark({ from_user_openid, to_user_openid, seq }, own, theirs) {
    const isOwn = from_user_openid === me
    const row = rowOf(isOwn ? to_user_openid : from_user_openid)
    const name = isOwn ? own : theirs
    if (name === 'read_seq') row.read_told = Math.max(row.read_told, seq)
    if (row[name] < seq) row[name] = seq
    changed(row.peer)
    if (name === 'read_seq' && !isCountable(row)) syncSoon()
  }
  function stopTyping(row) {
    if (!row.typing) return
    clock.clearTimeout(row.typing)
    row.typing = null
    changed()
  }

  // ---- marks: what has come, and what was read. They are gathered, and told again until the server knows.

  const owing = new Set()
  let marking

  function owe(row) {
    for (const each of row ? [row] : rows.values()) {
      const theirs = lastOf(each, isTheirs)
      if (each.read_seq > each.read_told || theirs && theirs.seq > each.recv_seq) owing.add(each)
    }
    if (owing.size && !marking) marking = clock.setTimeout(tell, MARKS_MS)
  }
  function tell() {
    marking = null
    if (connection.state() !== 'online') return
    for (const row of [...owing].slice(0, MARKS_AT_ONCE)) {
      owing.delete(row)
      const theirs = lastOf(row, isTheirs)
      if (theirs && theirs.seq > row.recv_seq && connection.send({ type: 'recv', to_user_openid: row.peer, seq: theirs.seq })) row.recv_seq = theirs.seq
      if (row.read_seq > row.read_told) connection.send({ type: 'read', id: 'r', to_user_openid: row.peer, seq: row.read_seq })
    }
    if (owing.size) marking = clock.setTimeout(tell, MARKS_MS)
  }
  /** Who looks at a chat has read what stands there. */
  function look() {
    if (!openPeer || !isVisible) return
    const row = rowOf(openPeer)
    const theirs = lastOf(row, isTheirs)
    if (!theirs || theirs.seq <= row.read_seq) return
    row.read_seq = row.to
    changed(row.peer)
    owe(row)
  }

  // ---- history

  const loading = new Map()

  /** One at a time for each conversation, whoever asks. */
  function loadOlder(peer) {
    if (!loading.has(peer)) {
      const done = () => loading.delete(peer)
      const load = fetchOlder(peer)
      loading.set(peer, load)
      load.then(done, done)
    }
    return loading.get(peer)
  }
  async function fetchOlder(peer) {
    const shown = () => rowOf(peer).window.filter(isMessage).length
    const before = shown()
    let isDone = false
    // A page may be all recalls, which show nothing.
    while (!isDone) {
      const { to } = rowOf(peer)
      const below = to ? firstOf(rowOf(peer)) : 1
      const bound = to ? `&before_seq=${below}` : ''
      const { messages, has_more } = await get(`/v1/messages?peer=${encodeURIComponent(peer)}&limit=${pageSize}${bound}`)
      const row = rowOf(peer)
      if (!merge(row, messages.map(frame => eventOf(frame, me)))) return forget()
      if (!has_more) clear(row, (messages.length ? messages[0].seq : below) - 1)
      settle(row)
      // Its marks are not known yet.
      if (!to) syncSoon()
      isDone = !has_more || shown() > before
    }
  }
  /** Where the page on screen has not even begun. */
  function loadPage(peer) {
    const row = rowOf(peer)
    const isUnknown = !row.to && (hasMoreRows || connection.state() !== 'online')
    const isShort = row.window.filter(isMessage).length < pageSize
    return isShort && (isUnknown || hasOlder(row)) ? loadOlder(peer) : Promise.resolve()
  }
  /** An answer that comes after somebody else has signed in is nobody's. */
  async function get(path) {
    const asker = me
    const answer = await connection.call('GET', path)
    if (asker && asker !== me) throw chatError('offline')
    return answer
  }

  async function loadConversations() {
    const before = rows.size
    while (hasMoreRows && rows.size === before) {
      const cursorPart = listCursor && `&cursor=${encodeURIComponent(listCursor)}`
      const { conversations, next_cursor } = await get(`/v1/conversations?limit=50${cursorPart}`)
      for (const said of conversations) {
        const row = rowOf(said.peer)
        if (!overlay(row, { ...said, messages: said.last_message ? [said.last_message] : [] }, me)) return forget()
        settle(row)
      }
      listCursor = next_cursor || ''
      hasMoreRows = !!next_cursor
    }
    changed()
  }

  // ---- users

  /** By openid: nickname, path of the avatar, and when that was asked. */
  let users = new Map()
  const unknown = new Set()

  function user(openid) {
    const [nickname, avatar, at] = users.get(openid) || ['', '', 0]
    if (openid && clock.now() - at > USERS_FRESH_MS) {
      // What is asked is not asked again, also where the answer does not come.
      users.set(openid, [nickname, avatar, clock.now() - USERS_FRESH_MS + LONGEST_WAIT_MS])
      if (!unknown.size) clock.setTimeout(askUsers, 0)
      unknown.add(openid)
    }
    return { openid, nickname, avatar: avatar && connection.base + avatar }
  }
  async function askUsers() {
    const openids = [...unknown].slice(0, USERS_AT_ONCE)
    openids.forEach(openid => unknown.delete(openid))
    if (unknown.size) clock.setTimeout(askUsers, 0)
    try {
      keepUsers((await get(`/v1/users?openids=${openids.join(',')}`)).users)
    } catch (e) {
      // Names are an ornament: they are asked for again when somebody wants to see them.
    }
  }
  function keepUsers(answered) {
    for (const { openid, nickname, avatar } of answered) {
      users.delete(openid)
      users.set(openid, [nickname, avatar, clock.now()])
    }
    store.set('users', [...users].slice(-500))
    emit('users', { openids: answered.map(({ openid }) => openid) })
  }

  // ---- what pages see

  function view(row, event) {
    const { client_msg_id = '', seq, sent_at, mine, type, message, extra = {}, recalled } = event
    const state = seq <= row.peer_read_seq ? 'read' : seq <= row.peer_recv_seq ? 'delivered' : 'sent'
    return {
      key: mine && /^[\w-]+$/.test(client_msg_id) ? `m${client_msg_id}` : `p${seq}`,
      peer: row.peer, mine, type, message, extra, client_msg_id, seq, sent_at, state: mine ? state : 'received',
      recalled: !!(recalled || event.target),
    }
  }
  function viewOwn({ peer, client_msg_id, type, message, extra, sent_at, state, seq = 0, error }) {
    return {
      key: `m${client_msg_id}`, peer, mine: true, type, message, extra, client_msg_id, seq, sent_at, state: seq ? 'sent' : state, recalled: false,
      ...(error && { error: chatError(error.word, error.message, error) }),
    }
  }

  function conversationOf(row) {
    const own = outbox.of(row.peer).pop()
    const event = lastOf(row, isMessage) || row.window[row.window.length - 1]
    const last = own ? viewOwn(own) : event && view(row, event)
    return { peer: row.peer, last, unread: unreadOf(row, me), updated_at: updatedAt(row), typing: !!row.typing }
  }
  function unread() {
    let total = 0
    rows.forEach(row => (total += unreadOf(row, me)))
    return total
  }

  function stop() {
    if (unwatch) unwatch()
    unwatch = null
    connection.stop()
    save()
  }

  setUser(connection.openid())

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
      if (!unwatch) {
        unwatch = adapter.watch({
          show() {
            isVisible = true
            connection.send({ type: 'foreground' })
            connection.hurry()
            sync()
            look()
          },
          hide() {
            isVisible = false
            connection.send({ type: 'background' })
            save()
          },
          // The way to the server may be another one now: a socket of the old one is found out by its silence.
          online() {
            connection.hurry()
            sync()
          },
          offline: connection.offline,
        })
      }
      connection.start()
    },
    stop,
    async signOut() {
      stop()
      const ended = connection.signOut()
      clock.clearTimeout(saving)
      saving = null
      store.forgetUser()
      outbox.reset()
      openPeer = ''
      unsaved.clear()
      me = undefined
      setUser('')
      await ended
    },

    on(event, run) {
      const set = listeners.get(event) || new Set()
      listeners.set(event, set.add(run))
      return () => void set.delete(run)
    },

    conversations: () => sortedRows().map(conversationOf),
    hasMoreConversations: () => hasMoreRows,
    loadConversations,
    refresh() {
      connection.hurry()
      return new Promise((resolve, reject) => {
        if (connection.state() !== 'online' && connection.state() !== 'connecting') return reject(connection.error() || chatError('offline'))
        waiting.push({ resolve, reject })
        sync()
      })
    },
    unread,
    async removeConversation(peer) {
      const seq = rowOf(peer).last_seq
      await connection.call('DELETE', `/v1/conversations/${encodeURIComponent(peer)}?up_to_seq=${seq}`)
      for (const { client_msg_id } of outbox.of(peer)) outbox.discard(peer, client_msg_id)
      frames.cleared({ peer, seq })
    },

    messages(peer) {
      const row = rowOf(peer)
      return [...row.window.filter(isMessage).map(event => view(row, event)), ...outbox.of(peer).map(viewOwn)]
    },
    hasOlder: peer => hasOlder(rowOf(peer)),
    loadOlder,
    async open(peer) {
      openPeer = peer
      connection.send({ type: 'open', to_user_openid: peer })
      look()
      await loadPage(peer)
    },
    leave() {
      const row = openPeer && rowOf(openPeer)
      openPeer = ''
      connection.send({ type: 'open', to_user_openid: null })
      if (row && row.window.length > WINDOW_KEPT) shorten(row, pageSize, me)
    },

    send(peer, text, { type = 'text', extra = {} } = {}) {
      // Half an emoji, as a field with a maximal length leaves it, would be refused by the server.
      const message = text.replace(/[\0\ud800-\udfff]/gu, '\ufffd')
      const fields = JSON.stringify({ ...extra, message })
      if (bytesOf(message) > limits.message_bytes || bytesOf(fields) > limits.fields_bytes) throw chatError('too_large')
      const entry = { peer, client_msg_id: randomId(), type, message, extra, sent_at: clock.now(), state: 'sending' }
      rowOf(peer)
      outbox.add(entry)
      changed(peer)
      return viewOwn(entry)
    },
    retry: outbox.retry,
    discard: outbox.discard,
    async recall(peer, seq) {
      const ack = await ask({ type: 'recall', to_user_openid: peer, target_seq: seq })
      receive(peer, { seq: ack.seq, sent_at: ack.sent_at, type: 'recall', target: seq, message: '', mine: true })
    },
    typing(peer) {
      const now = clock.now()
      if (now - (typedAt.get(peer) || 0) >= TYPING_EVERY_MS && connection.send({ type: 'typing', to_user_openid: peer })) typedAt.set(peer, now)
    },

    user,
    me: () => user(me),
    async setProfile(profile) {
      const answered = await connection.call('PUT', '/v1/me', profile)
      keepUsers([answered])
      return user(me)
    },
  }
}

const hongyan = { createClient, createAdapter, createBrowserAdapter }
if (typeof module === 'object') module.exports = hongyan
else globalThis.hongyan = hongyan
})()
