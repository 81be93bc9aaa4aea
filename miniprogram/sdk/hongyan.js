// Made of sdk/hongyan.js by scripts/sdk-modules: change that one.
/**
 * hongyan 鸿雁: the SDK. What it does stands in hongyan.d.ts, here stands how. It runs as it stands in WeChat and in browsers of 2018 and later, so
 * there is no syntax newer than that.
 */
;(function (root) {
'use strict'

// ---- errors.js

/** What went wrong, as one kind of object: an Error with a `word`. */

/** @type {any} */
const noop = () => {}

const fault = (word, message, more) => Object.assign(new Error(message || word), more, { word })

/** Of an error frame, or of the body of an HTTP answer. */
const faultOf = ({ error, message, ...more }) => fault(error, message, more)

/**
 * Of anything that was thrown: `wx` fails with objects that have an `errMsg`.
 * @param {any} e
 */
const toFault = e => {
  const thrown = e || {}
  const text = thrown.errMsg || thrown.message
  if (thrown.word) return thrown
  if (/domain list/.test(text)) return fault('domain_not_allowed', "list the server's domain in the console", { status: 403 })
  return fault(/timeout/.test(text) ? 'timeout' : 'offline', text)
}

const unavailable = () => fault('unavailable', '', { status: 503 })

/** Trying again would change nothing. Too often (429) passes, and so does what has no answer. */
const isFinal = ({ status }) => /^4(?!29)/.test(status)

// ---- grammar.js

// What a call is given is checked before anything is stored or sent: the server ends a session that sends ten bad frames. What the storage
// gives is checked too, for another release or another program may have written there.

/** Refuses an argument of a call. */
const demand = (isRight, what) => {
  if (!isRight) throw fault('bad_request', `invalid ${what}`, { status: 400 })
}

const isString = value => typeof value === 'string'
const isObject = value => value && typeof value === 'object' && !Array.isArray(value)
const isSeq = value => Number.isSafeInteger(value) && value >= 0
const listOf = value => (Array.isArray(value) ? value : [])

/** Some words are paths of the server's. */
const OPENID = /^(?!(healthz|readyz|metrics|v1|wechat|assets|admin|system)$)[\w-]{1,64}$/
const isOpenid = value => isString(value) && OPENID.test(value)

const MESSAGE_TYPE = /^(text|image|voice|video|file|location|card|custom)$/
const MAX_FIELDS = 120
const MAX_DEPTH = 32

const depthOf = value => (value && typeof value === 'object' ? 1 + Math.max(0, ...Object.keys(value).map(key => depthOf(value[key]))) : 0)
/** Half an emoji, as an <input> with a maximal length leaves it, would be refused. */
const mended = text => text.replace(/[\0\ud800-\udfff]/gu, '\ufffd')
/** The same in JSON, where some engines write it as an escape. */
const mendedJson = json => mended(json).replace(/\\(u0000|u[dD][89a-fA-F]..|.)/g, escape => (escape[2] ? '\ufffd' : escape))

/** The part of a message that the sender gives, as it is stored and sent. */
const draftOf = (text, { type = 'text', extra = {} }) => {
  demand(MESSAGE_TYPE.test(type), 'type')
  demand(isString(text) && (type !== 'text' || text.trim()), 'message')
  let fields
  try {
    fields = JSON.parse(mendedJson(JSON.stringify(extra)))
    // The sender is who has signed in.
    delete fields.from_user_openid
    demand(isObject(fields) && Object.keys(fields).length <= MAX_FIELDS && depthOf(fields) <= MAX_DEPTH)
  } catch (e) {
    // Or it is cyclic, or has a BigInt.
    demand(false, 'extra')
  }
  return { type, message: mended(text), extra: fields }
}

/** Of a message or a recall that has its place. */
const isEvent = event => isObject(event) && isSeq(event.seq) && Number.isFinite(event.sent_at) && isString(event.type) && isString(event.message) &&
  isObject(event.extra) && typeof event.mine === 'boolean' && isString(event.client_msg_id)
/** A draft and what the outbox knows of it. */
const isEntry = entry => {
  try {
    draftOf(entry.message, entry)
    return isEvent(entry) && entry.mine && (!entry.error || isString(entry.error.message)) && /^(sending|failed)$/.test(entry.state) && /^[!-~]{1,64}$/.test(entry.client_msg_id)
  } catch (e) {
    return false
  }
}

// ---- browser.js

/** All that is asked of a browser. */

/** @type {import('./hongyan').createBrowserAdapter} */
const createBrowserAdapter = () => {
  return {
    // There is no WeChat to ask: createClient needs a `signIn`.
    login: async () => /** @type {any} */ (demand(false, 'signIn')),
    async request({ method, url, headers, body }) {
      const answer = await fetch(url, { method, headers, body: body && JSON.stringify(body) })
      // Some answers are empty, and a proxy's are no JSON.
      return { status: answer.status, body: await answer.json().catch(noop) }
    },

    connect({ url, token }, on) {
      // A browser cannot set headers, and a token does not belong into a URL.
      const socket = new WebSocket(url, ['hongyan.v1', `bearer.${token}`])
      socket.onopen = on.open
      socket.onmessage = ({ data }) => on.message(data)
      socket.onclose = ({ code, reason }) => on.close(code, reason)
      return socket
    },

    storage: { get: key => localStorage[key], set: (key, value) => (localStorage[key] = value), remove: key => delete localStorage[key] },

    watch(on) {
      const look = () => (document.hidden ? on.hide() : on.show())
      const events = { visibilitychange: look, pagehide: on.hide, online: on.online, offline: on.offline }
      const page = /** @type {any} */ (window)
      // From one network to another there is no event of the window's. This one is told of changes in speed too.
      const network = (page.navigator || {}).connection
      let type = network && network.type
      const change = () => {
        if (type !== network.type) on.online()
        type = network.type
      }
      // What happens to the document comes by the window.
      const each = how => {
        for (const name in events) page[how](name, events[name], true)
        if (network) network[how]('change', change)
      }
      each('addEventListener')
      look()
      return () => each('removeEventListener')
    },
  }
}

// ---- single.js

/** `run`, for each key one at a time: who asks meanwhile gets the same answer. */
const single = run => {
  const going = new Map()
  return key => {
    const done = () => going.delete(key)
    if (!going.has(key)) {
      going.set(key, run(key))
      going.get(key).then(done, done)
    }
    return going.get(key)
  }
}

// ---- rows.js

// A row is what is known of one conversation. Its `window` holds events (messages, and recalls) with rising seqs, without a hole, and ends at
// `to`. `outbox` has own messages that are not in the window yet.

const MARKS = ['last_seq', 'cleared_seq', 'read_seq', 'read_told', 'recv_seq', 'peer_read_seq', 'peer_recv_seq', 'unread', 'to']
const newRow = peer => {
  const row = { peer, window: [], outbox: [] }
  for (const name of MARKS) row[name] = 0
  return /** @type {any} */ (row)
}

/** Not a recall, nor what a later release says of an earlier message: that is drawn as nothing, and counts for nothing. */
const isMessage = ({ target, extra, type }) => !target && (!extra.of_seq || MESSAGE_TYPE.test(type))
/** The first seq of the window, or the one after `to` where it is empty. */
const firstOf = row => row.to - row.window.length + 1
const isBehind = row => row.to < row.last_seq
const hasOlder = row => firstOf(row) > row.cleared_seq + 1
const lastTheirs = row => row.window.reduce((last, event) => (event.mine ? last : event.seq), 0)
const unreadAbove = (row, seq) => row.window.filter(event => event.seq > seq && !event.mine && isMessage(event) && !event.recalled).length

/** A row as it was stored: of what the server has, nothing less can be shown. */
const isRow = row => isOpenid(row.peer) && MARKS.every(name => row[name] <= row.last_seq && isSeq(row[name])) && Array.isArray(row.window) &&
  row.window.every((event, i) => isEvent(event) && event.seq === firstOf(row) + i)

/**
 * Brings a stretch of events into the window; what is there is dropped. Where a hole would stay, the window begins anew with the stretch: what
 * was before is in history. False where the two contradict each other: then the server has lost what it had.
 */
const merge = (row, stretch) => {
  const events = stretch.filter(event => !(event.seq <= row.cleared_seq))
  const first = firstOf(row)
  const known = seq => row.window[seq - first] || {}
  const [oldest] = events
  if (!oldest) return true
  if (!events.every((event, i) => isEvent(event) && event.seq === oldest.seq + i)) throw unavailable()
  const end = oldest.seq + events.length - 1
  if (events.some(({ seq, sent_at }) => (known(seq).sent_at || sent_at) !== sent_at)) return false
  if (oldest.seq > row.to + 1) row.window = events
  else if (end < first - 1) return !(oldest.sent_at > known(row.to).sent_at)
  else row.window = [...events.filter(event => event.seq < first), ...row.window, ...events.filter(event => event.seq > row.to)]
  raise(row, { to: end, last_seq: end })
  // A recall overwrites what it recalls, whichever of them came first.
  const recalled = new Set(row.window.map(event => event.target))
  row.window = row.window.map(event => (recalled.has(event.seq) ? { ...event, message: '', extra: {}, recalled: true } : event))
  return true
}

/** Marks never go back. */
const raise = (row, marks) => {
  for (const name in marks) if (marks[name] > row[name]) row[name] = marks[name]
}

/** Forgets everything up to `seq`. */
const clear = (row, seq) => {
  raise(row, { cleared_seq: seq, to: seq })
  row.window = row.window.filter(event => event.seq > row.cleared_seq)
}

// ---- wechat.js

/** All that is asked of `wx`. */

/** @type {(wx: any) => import('./hongyan').Adapter} */
const createAdapter = wx => {
  const promised = (name, options) => new Promise((success, fail) => {
    const promise = wx[name]({ ...options, success, fail })
    // Taro gives one as well, and what it rejects with is told by `fail`.
    if (promise && promise.catch) promise.catch(noop)
  })
  let drop = noop
  return {
    login: async () => (await promised('login')).code,
    async request({ method, url, headers, body }) {
      const { statusCode, data } = await promised('request', { method, url, header: headers, data: body })
      return { status: statusCode, body: data }
    },

    connect({ url, token }, on) {
      const fail = e => on.close(1006, e.errMsg)
      let task, wait = 0
      const follow = given => {
        task = given
        task.onOpen(() => {
          wait = 1000
          on.open()
        })
        task.onMessage(({ data }) => on.message(data))
        // After a failed handshake nothing else comes. Where it was open, the close follows and has the code.
        task.onError(e => setTimeout(fail, wait, e))
        task.onClose(({ code, reason }) => on.close(code, reason))
      }
      drop = () => fail({})
      const given = wx.connectSocket({ url, header: { Authorization: `Bearer ${token}` }, protocols: ['hongyan.v1'], fail })
      // Taro and uni-app promise it.
      if (given && given.then) given.then(follow).catch(fail)
      else follow(given)
      return { send: data => task.send({ data, fail: noop }), close: (code, reason) => task && task.close({ code, reason, fail: noop }) }
    },

    storage: { get: key => wx.getStorageSync(key), set: (key, value) => wx.setStorageSync(key, value), remove: key => wx.removeStorageSync(key) },

    watch(on) {
      let hiddenAt
      const hide = () => {
        hiddenAt = Date.now()
        on.hide()
      }
      const show = () => {
        // Hidden for 5 s, the app is suspended and its sockets are gone, told or not.
        if (Date.now() - hiddenAt >= 5000) drop()
        on.show()
      }
      const events = { AppHide: hide, AppShow: show, NetworkStatusChange: ({ isConnected }) => (isConnected ? on.online() : on.offline()) }
      const each = how => {
        for (const name in events) if (wx[how + name]) wx[how + name](events[name])
      }
      each('on')
      return () => each('off')
    },
  }
}

// ---- hongyan.js


/** @type {import('./hongyan').createClient} The modules in client/ run once for each call, with its `options`. */
const createClient = options => {
  // ---- client/client.js

  /**
   * The client as an app sees it, and how it stands: what all modules share. Each adds the calls that are its own.
   * @type {any}
   */
  let client = { openid: '', state: 'stopped' }

  // ---- client/options.js

  /** What the app has said, and the platform. All times and timers are the clock's. */

  let { url, signIn, storageKey = 'hongyan', pageSize = 20, adapter, parts = [], clock: { now = Date.now, random = Math.random, setTimeout: setTimer = setTimeout } = {} } = options
  demand(isString(url) && /^https?:\/\/[^/]/.test(url), 'url')
  demand(!signIn || signIn.call, 'signIn')
  demand(storageKey && isString(storageKey), 'storageKey')
  demand(isSeq(pageSize) && pageSize && pageSize <= 100, 'pageSize')

  let platform = adapter || (typeof wx === 'object' && 'connectSocket' in wx ? createAdapter(wx) : createBrowserAdapter())
  /** What the handshake says that this client knows. */
  let knows = []
  let base = url.replace(/\/+$/, '')

  /** @type {(ms: number) => Promise<void>} Timers have 31 bits: with more, or with no number, they would not wait at all. */
  let after = ms => new Promise(resolve => setTimer(resolve, ms < 2e9 ? ms : 2e9))
  /** `run` a while later, and once, however often it is asked for until then. */
  let lazy = (ms, run) => {
    let timer
    return () => (timer = timer || setTimer(() => {
      timer = null
      run()
    }, ms))
  }
  let half = () => (1 + random()).toString(36).slice(2, 12)
  let randomId = () => half() + half()

  // ---- client/storage.js

  /** What outlives the app: `token`, `device`, `users`, the `outbox`, and in `chats` the newest of everything together with the cursor that belongs to it. */

  let keyOf = name => storageKey + '.' + name
  let load = (name, otherwise) => {
    try {
      return JSON.parse(/** @type {any} */ (platform.storage.get(keyOf(name)))) || otherwise
    } catch (e) {
      // There is nothing.
      return otherwise
    }
  }
  /** Whether there was room. Without a value, what is there goes. */
  let store = (name, value) => {
    try {
      if (value) platform.storage.set(keyOf(name), JSON.stringify(value))
      else platform.storage.remove(keyOf(name))
      return value
    } catch (e) {
      return false
    }
  }

  // ---- client/table.js

  /** The conversations, as they were when the app ended. */

  let rows = new Map()
  let all = () => [...rows.values()]
  let rowOf = peer => {
    demand(isOpenid(peer), 'peer')
    if (!rows.has(peer)) rows.set(peer, newRow(peer))
    return rows.get(peer)
  }

  let chats = load('chats', {})
  let stored = listOf(chats.stored).map(row => ({ ...newRow(), ...row, outbox: [] }))
  for (let row of stored.filter(isRow)) rows.set(row.peer, row)
  for (let [peer, outbox] of listOf(load('outbox')).map(listOf)) {
    if (isOpenid(peer)) rowOf(peer).outbox = listOf(outbox).filter(isEntry)
  }

  // ---- client/marks.js

  /** How far a device has everything (`recv`), and how far it was read. What the server does not know yet is told again. */

  let marksSoon = lazy(500, () => {
    let room = 20
    for (let row of all()) {
      let tellMark = (type, seq) => room-- > 0 && tell({ type, id: 'r', to_user_openid: row.peer, seq })
      let theirs = lastTheirs(row)
      // Of a mark that does not move the peer hears nothing: so it goes on to what was written oneself.
      if (theirs > row.recv_seq && tellMark('recv', row.to)) row.recv_seq = row.to
      if (row.read_seq > row.read_told) tellMark('read', theirs > row.read_seq ? row.read_seq : row.to)
    }
    if (room < 0) marksSoon()
  })
  /** Who looks at a chat has read what stands there. */
  let look = () => {
    let row = rows.get(openPeer)
    if (!row || !isVisible || lastTheirs(row) <= row.read_seq) return
    row.read_seq = row.to
    row.unread = 0
    changed(row)
    marksSoon()
  }

  // ---- client/history.js

  /** Which chat is on the screen, and pages further up in it. */

  let openPeer = ''
  /** Something may lie over the chat, and be left again: nothing of it goes until another one is opened. */
  let lastPeer

  let loadOlder = single(async peer => {
    let row = rowOf(peer)
    let before = shown(row).length
    // A page may be all recalls, which show nothing.
    for (let hasMore = true; hasMore && shown(row).length <= before;) {
      let first = firstOf(row)
      let page = await call('GET', `/v1/messages?peer=${peer}&limit=${pageSize}${row.to ? `&before_seq=${first}` : ''}`)
      take(row, page.messages.map(eventOf), Infinity)
      hasMore = page.has_more && firstOf(row) !== first
    }
  })
  Object.assign(client, {
    hasOlder: peer => hasOlder(rowOf(peer)),
    loadOlder,
    async open(peer) {
      let row = rowOf(peer)
      openPeer = lastPeer = peer
      look()
      probeIfIdle()
      if (row.window.filter(isMessage).length < pageSize && (hasOlder(row) || !row.to && !isOnline())) await loadOlder(peer)
    },
    leave() {
      openPeer = ''
    },
  })

  // ---- client/users.js

  /** Names and avatars. */

  /** By openid, as the server says it: the avatar is a path. */
  let users = new Map()
  for (let [openid, each] of listOf(load('users')).map(listOf)) users.set(openid, each)
  /** Need not be asked for now. */
  let known = new Set()
  let wanted = []

  let user = openid => {
    let { nickname, avatar } = users.get(openid) || {}
    if (openid && !known.has(openid)) {
      known.add(openid)
      wanted.push(openid)
      usersSoon()
    }
    return { openid, nickname: isString(nickname) ? nickname : '', avatar: avatar && isString(avatar) ? base + avatar : '' }
  }
  let usersSoon = lazy(0, () => {
    let openids = wanted.splice(0, 100)
    if (wanted.length) usersSoon()
    // Names are an ornament: where they cannot be had, there are none.
    call('GET', `/v1/users?openids=${openids}`).then(answer => keepUsers(answer.users)).catch(noop)
  })
  let keepUsers = answered => {
    for (let each of answered) users.set(each.openid, each)
    store('users', [...users].slice(-500))
    emit('users', { openids: answered.map(each => each.openid) })
  }

  Object.assign(client, {
    user(openid) {
      demand(isOpenid(openid), 'openid')
      return user(openid)
    },
    me: () => user(client.openid),
    async setProfile(profile) {
      keepUsers([await call('PUT', '/v1/me', profile)])
      return user(client.openid)
    },
  })

  // ---- client/sync.js

  /** What was missed is asked for; and everything, where the server has another history than is known here. */

  /** Which database the cursor and all seqs are from. */
  let cursor, generation
  // What is left out is fetched again.
  if (isString(chats.cursor) && rows.size === stored.length) ({ cursor, generation } = chats)
  /** How often everything was forgotten. */
  let age = 0
  let forgetCursor = () => {
    age++
    cursor = null
  }
  /** As after a backup was restored. What the server does not have goes out again. */
  let startOver = () => {
    forgetCursor()
    for (let row of all()) {
      Object.assign(row, newRow(row.peer), { outbox: row.outbox })
      for (let entry of row.outbox) entry.seq = 0
    }
    syncSoon()
  }
  /** Of another database the seqs say nothing. */
  let syncWith = next => {
    if (generation && next !== generation) startOver()
    generation = next
    sync()
  }

  let isWished = false
  /** @type {any} */
  let named = {}
  /** Not at once: what is missing may be on its way. And not with one that is under way, for that may know nothing of it. */
  let syncSoon = lazy(300, () => {
    isWished = true
    sync()
  })
  /**
   * Named are the conversations whose window must go on without a gap: the one last on screen, and those with a hole. Of all others the newest page
   * is enough, however much was missed; and the newest message, where there is nothing yet, for pages are fetched when somebody looks at them.
   */
  let sync = single(async () => {
    let limit = cursor ? pageSize : 1
    for (let more = true; more || isWished;) {
      isWished = false
      let asks = all().filter(row => row.window.length && (row.peer === lastPeer || isBehind(row))).slice(0, 200)
      // Somebody may be called __proto__.
      named = { __proto__: null }
      for (let { peer, to } of asks) named[peer] = to
      await own(ask({ type: 'sync', since: cursor, conversations: named, limit: asks.some(isBehind) ? 200 : limit })).then(answer => {
        cursor = answer.cursor
        more = answer.has_more
        // What goes on after that came meanwhile. An older server says only when there is no more.
        if (answer.caught_up || !more) arrive()
      }, e => {
        if (!e.status) throw e
        // It was not answered.
        more = true
        // A cursor of another server.
        if (e.word === 'bad_frame') cursor = null
        return after(e.retry_after_ms || 1000)
      })
    }
    syncLater()
  })
  let syncLater = lazy(300000, sync)
  /** What was missed is here. */
  let arrive = () => {
    arrived()
    rows.forEach(flush)
    if (openPeer) client.open(openPeer).catch(noop)
    known.clear()
    marksSoon()
    changed()
  }

  // ---- client/saving.js

  /** When what is known goes to the storage. */

  let save = () => {
    // WeChat gives a key 1 MB, and a character has up to three bytes.
    let room = 300000
    let kept = listed().map((row, i) => ({ ...row, window: row.window.slice(i < 30 ? -pageSize : -1), outbox: [], typing: undefined }))
      .filter(row => (room -= JSON.stringify(row).length) > 0)
    // A cursor says that everything before it is here. Where that is not so, the list is fetched anew after a restart.
    store('chats', { cursor: room > 0 ? cursor : null, generation, stored: kept })
  }
  let saveSoon = lazy(1000, save)
  let saveOutbox = () => {
    let unsent = all().filter(row => row.outbox.length).map(({ peer, outbox }) => [peer, outbox])
    // What the server has can be fetched again: it makes room.
    return store('outbox', unsent) || store('chats') || store('outbox', unsent)
  }

  // ---- client/listeners.js

  /** What listeners are told. */

  /** @type {any} */
  let listeners = { __proto__: null }
  for (let event of ['state', 'messages', 'conversations', 'unread', 'users', 'incoming', 'error']) listeners[event] = new Set()
  Object.assign(client, {
    on(event, run) {
      demand(listeners[event] && run && run.call, 'event or listener')
      listeners[event].add(run)
      return () => listeners[event].delete(run)
    },
  })

  /** Each listener has a turn of its own: one that throws is heard of, and stops nobody. */
  let emit = (event, detail) => {
    for (let run of listeners[event]) Promise.resolve().then(() => listeners[event].has(run) && run(detail))
  }

  let changedPeers = new Set()
  let told = 0
  let tellChanges = lazy(0, () => {
    let total = client.unread()
    for (let peer of changedPeers) emit('messages', { peer })
    changedPeers.clear()
    emit('conversations', { total })
    if (total !== told) emit('unread', { total })
    told = total
  })
  let changed = row => {
    if (row) changedPeers.add(row.peer)
    tellChanges()
    saveSoon()
  }

  // ---- client/outbox.js

  /** What the user writes, until the server has it. */

  let bytesOf = text => encodeURIComponent(text).replace(/%../g, '%').length
  let isFailed = entry => entry.state === 'failed'

  /** Conversations of which something is on its way. */
  let busy = new Set()

  let acked = (row, entry, { seq, sent_at }) => {
    if (!seq || !isEvent({ ...entry, seq, sent_at })) throw unavailable()
    receive(row, Object.assign(entry, { seq, sent_at }))
    // Before a first message the peer hears of no marks: they are told anew.
    if (!row.window.filter(event => event.mine)[1]) row.recv_seq = row.read_told = 0
  }
  /** One message of a conversation is on its way at a time, so that one that must be sent again is not overtaken. */
  let flush = async row => {
    if (busy.has(row)) return
    busy.add(row)
    for (let entry; (entry = isOnline() && row.outbox.find(each => each.state === 'sending' && !each.seq));) {
      let { type, message, client_msg_id, extra } = entry
      // Told to the storage first: a message that may have gone out cannot be taken back after a restart either.
      if (entry.untried) {
        entry.untried = false
        saveOutbox()
      }
      try {
        acked(row, entry, await ask({ ...extra, type, message, client_msg_id, to_user_openid: row.peer }))
      } catch (e) {
        // Hours are no time to wait for. And a socket that is closed for what was sent would be closed for it again.
        if (isFinal(e) || e.retry_after_ms > 60000 || /100[79]|4506/.test(e.code)) {
          entry.state = 'failed'
          entry.error = { ...e, message: e.message }
          saveOutbox()
          changed(row)
        } else await after(e.retry_after_ms || (e.status ? 1000 : 0))
      }
    }
    busy.delete(row)
  }
  /** Takes a message out of the outbox where that may be done, or puts it to the end, where it will be in the conversation. */
  let takeOut = (peer, id, isAllowed, isAgain) => {
    let row = rowOf(peer)
    let taken = row.outbox.filter(isAllowed).find(entry => entry.client_msg_id === id)
    if (!taken) return false
    row.outbox = row.outbox.filter(entry => entry !== taken)
    // What was refused is not there.
    if (isAgain) row.outbox.push(Object.assign(taken, { state: 'sending', untried: { ...taken.error }.status < 500, error: undefined }))
    saveOutbox()
    changed(row)
    flush(row)
    return true
  }
  /** Until when who was told that the user types need not be told again. */
  let typed = {}

  Object.assign(client, {
    send(peer, text, more) {
      let row = rowOf(peer)
      let draft = draftOf(text, more || {})
      let { message, extra } = draft
      if (bytesOf(message) > limits.message_bytes || bytesOf(JSON.stringify({ ...extra, message })) > limits.fields_bytes) throw fault('too_large')
      // With nothing before it, it goes out below.
      let untried = busy.has(row) || !isOnline()
      let entry = { ...draft, client_msg_id: randomId(), sent_at: now(), mine: true, seq: 0, state: 'sending', untried }
      row.outbox.push(entry)
      typed = {}
      if (row.outbox.length > 100 || !saveOutbox()) {
        row.outbox.pop()
        throw fault('storage_full')
      }
      flush(row)
      changed(row)
      return view(row, entry)
    },
    retry: (peer, id) => takeOut(peer, id, isFailed, true),
    discard: (peer, id) => takeOut(peer, id, isFailed),
    cancel: (peer, id) => takeOut(peer, id, entry => entry.untried),
    async recall(peer, target) {
      let row = rowOf(peer)
      demand(target && isSeq(target), 'seq')
      let frame = { type: 'recall', target_seq: target, to_user_openid: peer }
      let { seq, sent_at } = await ask(frame)
      receive(row, eventOf({ ...frame, seq, sent_at, from_user_openid: client.openid }))
    },
    typing(peer) {
      demand(isOpenid(peer), 'peer')
      if (now() < typed[peer]) return
      typed = { [peer]: now() + 3000 }
      tell({ type: 'typing', to_user_openid: peer })
      probeIfIdle()
    },
  })

  // ---- client/conversations.js

  /** What pages see of the rows, and what is done with a conversation as a whole. */

  let shown = row => [...row.window.filter(isMessage), ...row.outbox]
  /** Where no message is known, the last recall. */
  let lastOf = row => shown(row).pop() || row.window.filter(event => event.target).pop()
  /** Where nothing is known that is shown, there is something all the same. */
  let timeOf = row => (lastOf(row) || row.window[0] || {}).sent_at
  let listed = () => all().filter(timeOf).sort((a, b) => timeOf(b) - timeOf(a))
  /** @type {(row: any, event: any) => import('./hongyan').Message} */
  let view = (row, { mine, seq, sent_at, type, message, state, error, recalled, target, client_msg_id, extra }) => {
    // Spelled out: a chat has thousands of messages, and rests and spreads take thirty times as long.
    let mark = seq <= row.peer_read_seq ? 'read' : seq <= row.peer_recv_seq ? 'delivered' : 'sent'
    return {
      peer: row.peer, mine, seq, sent_at, type, message, error, client_msg_id, extra, recalled: !!(recalled || target),
      key: mine && /^\w+$/.test(client_msg_id) ? 'm' + client_msg_id : 'p' + seq, state: !mine ? 'received' : seq ? mark : state,
    }
  }

  Object.assign(client, {
    conversations: () => listed().map(row => {
      let last = lastOf(row)
      return {
        peer: row.peer, last: last && view(row, last), read_seq: row.read_seq, unread: row.unread, muted: !!row.muted, pinned: !!row.pinned,
        updated_at: timeOf(row), typing: row.typing > now(),
      }
    }),
    unread: () => all().reduce((total, row) => total + (row.muted ? 0 : row.unread), 0),
    messages: peer => shown(rowOf(peer)).map(event => view(rowOf(peer), event)),
    async removeConversation(peer) {
      let row = rowOf(peer)
      let { last_seq: seq } = row
      await call('DELETE', `/v1/conversations/${peer}?up_to_seq=${seq}`)
      // All but what may have gone out.
      row.outbox = row.outbox.filter(entry => !isFailed(entry) && !entry.untried)
      saveOutbox()
      frames.cleared({ seq }, row)
    },
    async setMuted(peer, muted) {
      demand(isOpenid(peer), 'peer')
      await call('PUT', `/v1/conversations/${peer}/settings`, { muted })
    },
  })

  // ---- client/incoming.js

  /** What comes into the windows, live and by pages. */

  /** @param {any} frame */
  let eventOf = ({ seq, sent_at, type, client_msg_id = '', recalled, target_seq: target, message = '', from_user_openid, to_user_openid, status, ...extra }) =>
    ({ seq, sent_at, type, client_msg_id, recalled, target, message, extra, mine: from_user_openid === client.openid })
  /** A message or a recall that came live, or was acked. One that does not follow on the window stays out until the hole is filled. */
  let receive = (row, event) => {
    let { to } = row
    raise(row, { last_seq: event.seq })
    take(row, event.seq > to + 1 ? [] : [event], to)
    if (row.peer !== lastPeer) row.window = row.window.slice(-100)
    // What is recalled may have been unread.
    if (isBehind(row) || event.target && row.unread) syncSoon()
  }
  /** Brings events into the window. What is above `before` is news. */
  let take = (row, events, before) => {
    let isHere = ({ seq, client_msg_id: id }) => seq && seq <= row.to || row.window.some(event => event.mine && event.client_msg_id === id)
    if (!merge(row, events)) return startOver()
    if (row.outbox.some(isHere)) {
      row.outbox = row.outbox.filter(entry => !isHere(entry))
      saveOutbox()
    }
    for (let event of row.window.filter(isMessage)) {
      if (event.seq <= before) continue
      // Who writes has read what was there.
      row.unread = event.mine ? 0 : row.unread + 1
      row.typing = 0
      if (isOnline() && !event.mine) emit('incoming', { message: view(row, event) })
    }
    look()
    changed(row)
    marksSoon()
  }

  // ---- client/frames.js

  /** What the server says. */

  /** How much it takes. */
  let limits = { message_bytes: 8192, fields_bytes: 16384 }
  let isWarned = 0

  /** A node of an earlier release says nothing of pins. */
  let setOf = (row, { muted, pinned = row.pinned }) => Object.assign(row, { muted, pinned })

  /**
   * All but messages. Other answers are taken where they were asked for.
   * @type {any}
   */
  let frames = {
    __proto__: null,
    init(frame) {
      client.features = listOf(frame.features)
      limits = { ...limits, ...frame.limits }
      beat(frame.heartbeat_ms)
      if (!isVisible) tell({ type: 'background' })
      if (Math.abs(frame.server_time - now()) > 300000 && !isWarned++) emit('error', fault('server_clock', 'set the clock'))
      syncWith(frame.generation)
    },
    sync({ conversations }) {
      for (let { peer, messages, cleared_seq, recv_seq, ...marks } of conversations) {
        if (!isOpenid(peer)) continue
        let row = rowOf(peer)
        let { to } = row
        // It had more when it was asked.
        if (marks.last_seq < named[peer]) return startOver()
        raise(row, marks)
        row.read_told = marks.read_seq
        row.recv_seq = recv_seq
        setOf(row, marks)
        clear(row, cleared_seq)
        take(row, messages.map(eventOf), to)
        // What has come since is not counted there; and what was read while there was no connection is not known there.
        row.unread = row.read_seq > marks.read_seq ? unreadAbove(row, row.read_seq) : marks.unread + unreadAbove(row, marks.last_seq)
      }
    },
    /** Without an `id` it is of what was answered as `unavailable` before, and need not be sent again. */
    ack(frame, row) {
      let entry = !asked.has(frame.id) && row.outbox.find(each => each.client_msg_id === frame.client_msg_id)
      if (entry) acked(row, entry, frame)
    },
    read({ seq }, row, isOwn) {
      raise(row, isOwn ? { read_seq: seq, read_told: seq } : { peer_read_seq: seq })
      if (row.read_seq >= row.to) row.unread = 0
      // How many are left, the server knows.
      if (isOwn && row.unread) syncSoon()
      changed(row)
    },
    recv({ seq }, row, isOwn) {
      raise(row, isOwn ? { recv_seq: seq } : { peer_recv_seq: seq })
      changed(row)
    },
    typing(frame, row) {
      row.typing = now() + 6000
      setTimer(changed, 6000)
      changed()
    },
    cleared({ seq }, row) {
      clear(row, seq)
      syncSoon()
      changed(row)
    },
    settings(frame, row) {
      setOf(row, frame)
      changed()
    },
  }

  // ---- client/connection.js

  /** The socket: one after the other, what is asked over it and what comes. */

  /** Silence that makes a socket doubtful. Where connecting takes long, so may an answer. */
  let MIN_SILENCE_MS = 2000
  /** Somebody at work wants no dead socket: after so long a silence it is asked. */
  let IDLE_MS = 5000

  /** The words of close codes, where a proxy has lost the reason. From 4500 on the session is not to be had again. */
  let CLOSE_WORDS = ['unauthorized', 'bad_request', 'replaced', 'kicked', 'banned', 'too_many_errors']

  let isVisible = true
  let tries, signInRetries
  /** When a frame came last, and how many there were. */
  let heardAt = 0
  let heard = 0
  let silence = MIN_SILENCE_MS
  /** Null until it is open, and after its end. */
  let socket = null
  /** Ends the socket, for a reason. */
  let end = noop
  let giveUp = () => end(fault('offline'))
  /** Ends the wait for the next attempt. */
  let hurry = noop
  /** Each `start` has a number: what comes of an earlier one is not heard. */
  let run = 0
  let questions = 0
  let unwatch = noop
  let asked = new Map()

  let device = load('device')
  // Labels are shorter than openids.
  if (!isOpenid(device) || device[32]) device = randomId()
  store('device', device)

  let turn = (next, why, retryAt) => {
    Object.assign(client, { state: next, error: why })
    emit('state', { state: next, error: why, retryAt })
  }
  let isOnline = () => socket && client.state === 'online'
  let tell = frame => {
    if (socket) socket.send(JSON.stringify(frame))
    return socket
  }
  /**
   * Ends the socket where nothing comes back: a heart is answered at once, whatever else takes its time. A timer that comes late was asleep, and
   * so was everything else; but one that always comes late is slow.
   */
  let probe = async isSecond => {
    let link = socket
    let before = heard
    let begun = now()
    if (!tell({ type: 'heart', id: 'h' })) return
    await after(silence)
    if (link !== socket || heard !== before) return
    if (!isSecond && now() - begun > 2 * silence) probe(true)
    // Nobody else's socket ended with this one, so the first attempt need not be put off by chance.
    else end(fault('timeout', '', tries ? {} : { retry_after_ms: 0 }))
  }
  /** Not while a sync is under way: a frame of it is told when all of it is here. */
  let probeIfIdle = () => {
    if (isOnline() && now() - heardAt > IDLE_MS) probe()
  }
  /** The frame that answers. */
  let ask = async frame => {
    let id = 'q' + ++questions
    if (!tell({ ...frame, id })) throw fault('offline')
    let answer = new Promise(resolve => asked.set(id, resolve))
    // What a sync brings may take long, and a frame of it is told when all of it is here.
    let isSync = frame.type === 'sync'
    let until = now() + WAIT_MS
    for (;;) {
      let before = heard
      let given = await Promise.race([answer, after(isSync ? WAIT_MS : silence)])
      if (given instanceof Error) throw given
      if (given) return given
      if (!isSync && now() >= until) throw fault('timeout')
      if (heard !== before) continue
      // The end is the answer then: a sync that was lost would be waited for without end.
      if (isSync) end(fault('timeout'))
      else probe()
    }
  }
  let hear = frame => {
    let { id, type, from_user_openid: from, to_user_openid: to } = frame
    // An ack says only whom its message went to.
    let isOwn = !from || from === client.openid
    let peer = isOwn ? to || frame.peer : from
    let row = isOpenid(peer) && rowOf(peer)
    // A peer of another kind is one of a later release.
    if (peer && !row) return
    if (frames[type]) frames[type](frame, row, isOwn)
    // What has no place in a conversation is of a later release.
    else if (row && frame.seq) receive(row, eventOf(frame))
    if (!asked.has(id) || type === 'sync' && !frame.cursor) return
    asked.get(id)(frame.error ? faultOf(frame) : frame)
    asked.delete(id)
  }
  let beat = async (ms, isHalf) => {
    let link = socket
    await after(ms / 2)
    if (link !== socket) return
    if (isHalf) {
      probe()
      token(credentials.renew_at).catch(noop)
    // Who has a chat before them waits for what comes.
    } else if (isVisible && openPeer) probeIfIdle()
    beat(ms, !isHalf)
  }
  /** From the sign-in to the end of the socket; rejects with why it ended. */
  let session = async mine => {
    let bearer = await token()
    let link, isOver
    let lastError = {}
    let begun = now()
    if (mine === run) await new Promise((resolve, reject) => {
      end = reject
      setTimer(() => socket === link || reject(fault('timeout')), WAIT_MS)
      link = platform.connect({ url: `${base.replace('http', 'ws')}/${client.openid}?device=${device}${knows[0] ? `&features=${knows}` : ''}`, token: bearer }, {
        // One that was given up before it opened could not be closed then, and WeChat allows five.
        open: () => isOver && link.close(1000, ''),
        message(text) {
          if (isOver) return
          try {
            let frame = JSON.parse(text)
            heardAt = now()
            heard++
            // Why a session is closed stands in the frame before.
            lastError = frame.error ? frame : {}
            if (frame.type === 'init') {
              socket = link
              silence = Math.min(WAIT_MS, Math.max(MIN_SILENCE_MS, 2 * (heardAt - begun)))
            }
            hear(frame)
          } catch (e) {
            reject(fault('bad_frame'))
          }
        },
        close(code, reason) {
          let [, wait] = /retry_ms=(\d+)/.exec(reason) || []
          // What the frame before says is more than the code, but for the last of many bad frames.
          let word = code >= 4500 && reason || code !== 4506 && lastError.error || CLOSE_WORDS[code - 4501] || (code >= 4500 ? 'unavailable' : code === 4003 && 'timeout')
          let message = lastError.message || reason
          reject(Object.assign(word ? fault(word, message) : toFault({ message }), { code, retry_after_ms: wait && +wait }))
        },
      })
    }).catch(e => {
      isOver = true
      socket = null
      if (link) link.close(1000, '')
      asked.forEach(settle => settle(e))
      asked.clear()
      if (e.word === 'unauthorized') distrust(bearer)
      throw e
    })
  }
  /** One attempt after the other, until it is stopped or refused. */
  let stay = async () => {
    let mine = ++run
    tries = signInRetries = 0
    while (mine === run) {
      turn('connecting')
      let why = await session(mine).catch(toFault)
      if (mine !== run) return
      // Tokens end, and codes grow old. Another one mends that, or none does.
      if (/unauthorized|bad_code|wrong_appid/.test(why.word) && !signInRetries++) continue
      if (why.code >= 4500 || isFinal(why)) return turn('refused', why)
      let backoff = random() * Math.min(30000, 500 * 2 ** tries++)
      let { retry_after_ms: wait = backoff } = why
      turn('waiting', why, now() + wait)
      await new Promise(resolve => after(wait).then((hurry = resolve)))
    }
  }
  /** What was missed is here. */
  let arrived = () => {
    tries = signInRetries = 0
    if (socket && client.state !== 'online') turn('online')
  }

  /** Somebody looks: what was missed is asked for. */
  let refresh = () => {
    tries = 0
    hurry()
    probe()
    return sync()
  }
  /** After the end of a socket that was told together with this. */
  let refreshSoon = lazy(0, refresh)
  /** The way to the server is another one: a socket may live on, an attempt on the old way is lost. */
  let reroute = () => {
    if (!socket) giveUp()
    refreshSoon()
  }
  let show = isShown => {
    isVisible = isShown
    tell({ type: isShown ? 'foreground' : 'background' })
    look()
    if (isShown) refreshSoon()
    else save()
  }

  Object.assign(client, {
    start() {
      if (!/stopped|refused/.test(client.state)) return
      unwatch()
      unwatch = platform.watch({ show: () => show(true), hide: () => show(false), online: reroute, offline: giveUp })
      stay()
    },
    stop() {
      run++
      unwatch()
      unwatch = noop
      giveUp()
      turn('stopped')
      save()
    },
    refresh,
  })

  // ---- client/account.js

  /** Whose client it is: the token, and HTTP with it. */

  /** Whatever is asked is answered by then. */
  let WAIT_MS = 10000

  let credentials = load('token', {})
  if (!isOpenid(credentials.openid) || !isString(credentials.token)) credentials = {}
  // Goes with the token: whose it is must be known wherever that is.
  client.openid = credentials.openid || ''

  let timely = async promise => {
    let answer = await Promise.race([promise, after(WAIT_MS)]).catch(e => {
      throw toFault(e)
    })
    if (!answer) throw fault('timeout')
    return answer
  }
  let http = async (method, path, body, token) => {
    let { status, body: said } = await timely(platform.request({ method, url: base + path, headers: token ? { Authorization: `Bearer ${token}` } : {}, body }))
    if (status < 300) return said
    if (status === 401) distrust(token)
    throw faultOf({ error: 'unavailable', ...said, status })
  }
  /** What one user has asked for is not for the next one. */
  let own = async promise => {
    let begun = age
    try {
      return await promise
    } finally {
      if (begun !== age) throw fault('offline')
    }
  }
  let call = (method, path, body) => {
    let once = async () => own(http(method, path, body, await own(token())))
    return once().catch(e => {
      if (e.status !== 401) throw e
      return once()
    })
  }
  let exchange = code => http('POST', '/v1/login', { code })
  /** The code is fresh: if it is refused, it is another mini-program's. */
  let byCode = async () => exchange(await timely(platform.login())).catch(e => {
    throw e.word === 'bad_code' ? fault('wrong_appid', 'check wechat.appid and wechat.secret', e) : e
  })
  /** Not while it is stopped: who has signed out stays so. */
  let renew = single(async () => {
    if (client.state === 'stopped') throw fault('offline')
    let { openid, token, expires_in } = await own((signIn || byCode)({ login: exchange }))
    // A proxy's answer names nobody, and costs nobody what is here.
    if (!openid || !token) throw unavailable()
    // One that has ended is for the server to refuse: the clocks may differ.
    demand(isOpenid(openid) && Number.isFinite(expires_in), 'answer of signIn')
    if (client.openid && client.openid !== openid) {
      forgetUser()
      giveUp()
    }
    client.openid = openid
    credentials = { openid, token, renew_at: now() + expires_in * 900, ends_at: now() + expires_in * 1000 }
    store('token', credentials)
    changed()
  })
  /** One that holds. */
  let token = async (until = credentials.ends_at) => {
    if (!(now() < until)) await renew()
    return credentials.token
  }
  let distrust = token => {
    if (credentials.token === token) credentials.ends_at = 0
  }
  let forgetUser = () => {
    for (let name of ['token', 'chats', 'outbox', 'users']) store(name)
    // What is on its way must not go out in another name.
    for (let row of all()) row.outbox = []
    rows.clear()
    users.clear()
    forgetCursor()
    client.leave()
    credentials = {}
    client.openid = ''
  }
  Object.assign(client, {
    call,
    async signOut() {
      let { token } = credentials
      client.stop()
      forgetUser()
      changed()
      await http('POST', '/v1/logout', {}, token)
    },
  })

  // ---- client/parts.js

  /** What an app has added. */

  // What a part has to build on stands in hongyan.d.ts, as `Core`: nothing else in here is for it.
  for (let part of parts) {
    demand(part && part.call, 'part')
    Object.assign(client, part({ client, knows, frames, ask, rowOf, changed, listeners, emit, load, store, after }))
  }

  // ---- client/index.js

  /** All modules of a client. Parts come last: they may change what the others do. */

  changed()

  return client
}

// Spelled out, for Node finds the names by reading.
if (typeof module === 'object') {
  module.exports = { createClient, createAdapter, createBrowserAdapter, isOpenid }
  module.exports.default = module.exports
} else /** @type {any} */ (root).hongyan = { createClient, createAdapter, createBrowserAdapter, isOpenid }
})(this)
