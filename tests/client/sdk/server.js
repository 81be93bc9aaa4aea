'use strict'

/**
 * The server as PROTOCOL.md has it, small and in memory, and as bad as a test wants it: `faults` may drop, double and delay what it sends,
 * `refuse` answers for it, and `cut` ends sockets. It knows only what a client may use.
 */

const ANSWER_BYTES = 256 * 1024
const FRAME_BYTES = 64 * 1024
const LATENCY_MS = 1

class Server {
  constructor(clock) {
    this.clock = clock
    this.isUp = true
    this.conversations = new Map()
    this.profiles = new Map()
    this.sessions = new Set()
    this.tokens = new Map()
    this.tokenCount = 0
    this.sessionCount = 0
    this.generation = 'first'
    /** Undefined: a server that knows none. */
    this.features = []
    this.changes = 0
    this.tokenTtl = 604800
    /** Of subscribe messages; no templates, no notices. */
    this.templates = []
    this.grants = new Map()
    this.reports = new Set()
    this.quiet = new Map()
    /** Every frame that came, and every HTTP call. */
    this.heard = []
    this.calls = []
    this.reset()
  }

  reset() {
    /** (frame, session) => the frames to send for it, each perhaps with `delay`. */
    this.faults = frame => [frame]
    /** (frame, session) => the answer to a client's frame in place of the right one, `null` for none, `undefined` for the right one. */
    this.answers = () => undefined
    /** (call) => an HTTP answer in place of the right one. */
    this.http = () => undefined
    /** () => what meets a handshake in place of `init`: `{ error, code, reason }`. */
    this.refusal = () => undefined
  }

  // ---- conversations

  conversation(a, b) {
    const key = [a, b].sort().join(' ')
    if (!this.conversations.has(key)) this.conversations.set(key, { events: [], members: new Map(), at: 0 })
    return this.conversations.get(key)
  }
  member(me, peer) {
    const { members } = this.conversation(me, peer)
    if (!members.has(me)) members.set(me, { read: 0, recv: 0, sent: 0, cleared: 0, muted: false, pinned: false })
    return members.get(me)
  }
  frameOf(event, me, peer) {
    const { type, from, seq, sent_at, client_msg_id, fields, recalled, target } = event
    const frame = { type, status: 200, from_user_openid: from, to_user_openid: from === me ? peer : me, seq, sent_at }
    if (target) return { ...frame, target_seq: target }
    if (recalled) return { ...frame, recalled: true, client_msg_id }
    return { ...fields, ...frame, client_msg_id }
  }
  unread(me, peer) {
    if (me === peer) return 0
    const { read, sent, cleared } = this.member(me, peer)
    const floor = Math.max(read, sent, cleared)
    return this.conversation(me, peer).events.filter(e => e.seq > floor && !e.target && !e.fields.of_seq && !e.recalled).length
  }
  overview(me, peer) {
    const [mine, theirs] = [this.member(me, peer), this.member(peer, me)]
    const isStranger = theirs.sent === 0
    return {
      peer, last_seq: this.conversation(me, peer).events.length, cleared_seq: mine.cleared, read_seq: mine.read, recv_seq: mine.recv,
      peer_read_seq: isStranger ? 0 : theirs.read, peer_recv_seq: isStranger ? 0 : theirs.recv, unread: this.unread(me, peer), muted: mine.muted, pinned: mine.pinned,
    }
  }

  /** Stores, and pushes to all sessions but the one it came from. Gives the event, and whether it was there before. */
  append(from, to, { type = 'text', client_msg_id, target, ...fields }, session) {
    const conversation = this.conversation(from, to)
    const { events } = conversation
    const known = events.find(e => e.from === from && (target ? e.target === target : client_msg_id && e.client_msg_id === client_msg_id))
    const event = known || { type, from, seq: events.length + 1, sent_at: this.clock.now(), client_msg_id, fields, target }
    if (!known) {
      events.push(event)
      conversation.at = event.at = ++this.changes
      if (target) events[target - 1].recalled = true
      else if (!fields.of_seq) this.member(from, to).sent = event.seq
    }
    for (const [me, peer] of from === to ? [[from, to]] : [[from, to], [to, from]]) this.push(me, this.frameOf(event, me, peer), session)
    return { event, duplicate: !!known }
  }
  /** Messages from somebody who needs no client of their own. */
  say(from, to, ...messages) {
    return messages.map(message => this.append(from, to, { message, client_msg_id: `s${++this.changes}` }).event.seq)
  }
  mark(me, peer, name, seq) {
    const member = this.member(me, peer)
    const moved = Math.min(seq, this.conversation(me, peer).events.length)
    if (moved <= member[name]) return
    member[name] = moved
    this.conversation(me, peer).at = ++this.changes
    return true
  }
  tellMark(me, peer, name, session) {
    const frame = { type: name, status: 200, from_user_openid: me, to_user_openid: peer, seq: this.member(me, peer)[name] }
    this.push(me, frame, session)
    if (this.member(me, peer).sent > 0 && me !== peer) this.push(peer, frame)
  }
  clear(me, peer, seq = this.conversation(me, peer).events.length) {
    this.member(me, peer).cleared = seq
    this.conversation(me, peer).at = ++this.changes
    this.push(me, { type: 'cleared', status: 200, peer, seq })
  }
  /** What is left out stays as it is. */
  set(me, peer, settings) {
    const { muted, pinned } = Object.assign(this.member(me, peer), settings)
    this.conversation(me, peer).at = ++this.changes
    this.push(me, { type: 'settings', status: 200, peer, muted, pinned })
  }
  /** As after an older backup was restored. */
  loseEverything() {
    this.conversations.clear()
  }
  /** The same where so many messages of each conversation were in it. */
  restore(count) {
    this.generation = `${this.generation}'`
    for (const { events } of this.conversations.values()) events.splice(count)
    this.cut(undefined, 4001, 'draining retry_ms=10')
  }

  // ---- sockets

  push(openid, frame, but) {
    for (const session of this.sessions) if (session.openid === openid && session !== but) session.deliver(frame)
  }
  /** Ends the sockets of a user, or all. Without a code they vanish silently. */
  cut(openid, code = 1006, reason = '') {
    for (const session of [...this.sessions]) if (!openid || session.openid === openid) session.end(code, reason)
  }
  vanish(openid) {
    for (const session of [...this.sessions]) {
      if (openid && session.openid !== openid) continue
      session.isGone = true
      this.sessions.delete(session)
    }
  }

  /** What an adapter's `connect` calls. */
  connect({ url, token }, on) {
    const { pathname, searchParams } = new URL(url)
    const session = new Session(this, pathname.slice(1), searchParams.get('device'), on)
    this.later(() => {
      if (session.isGone) return
      if (!this.isUp) return session.end(1006, '')
      on.open()
      const refusal = this.refusal() || (this.tokens.get(token) === session.openid ? undefined : { error: 'unauthorized', code: 4501, reason: 'unauthorized' })
      if (refusal) {
        const { code, reason = refusal.error, ...frame } = refusal
        if (frame.error) session.deliver({ type: 'error', status: 401, message: 'no', ...frame })
        return session.end(code, reason)
      }
      for (const other of [...this.sessions]) if (other.openid === session.openid && other.device === session.device) other.end(4503, 'replaced')
      this.sessions.add(session)
      session.deliver({
        type: 'init', status: 200, data: 'link ok', openid: session.openid, session: '1', server_time: this.clock.now(), heartbeat_ms: 30000, generation: this.generation,
        limits: { frame_bytes: 65536, message_bytes: 8192, fields_bytes: 16384, messages_per_second: 20, message_burst: 40 },
        features: this.features,
      })
    })
    return session
  }
  later(run, delay = 0) {
    this.clock.setTimeout(run, LATENCY_MS + delay)
  }

  hear(session, frame) {
    const { openid } = session
    const { type, id, to_user_openid: peer, seq } = frame
    this.heard.push({ openid, ...frame })
    const instead = this.answers(frame, session)
    if (instead === null) return
    if (instead) return session.deliver({ id, client_msg_id: frame.client_msg_id, ...instead })
    if (type === 'sync') return this.sync(session, frame)
    if (type === 'heart') return session.deliver({ type: 'heart', id, status: 200, server_time: this.clock.now() })
    if (type === 'background' || type === 'foreground') return
    if (type === 'typing') return this.push(peer, { type, from_user_openid: openid, to_user_openid: peer })
    if (type === 'read' || type === 'recv') {
      const hasMoved = this.mark(openid, peer, type, seq)
      if (id) session.deliver({ type, id, status: 200, from_user_openid: openid, to_user_openid: peer, seq: this.member(openid, peer)[type] })
      if (hasMoved) this.tellMark(openid, peer, type, session)
      return
    }
    if (type === 'recall') {
      const target = this.conversation(openid, peer).events[frame.target_seq - 1]
      if (!target || target.from !== openid || target.target) return session.deliver({ type: 'error', status: 404, error: 'not_found', id })
      if (this.clock.now() - target.sent_at > 120000) return session.deliver({ type: 'error', status: 409, error: 'recall_expired', id })
      const { event, duplicate } = this.append(openid, peer, { type, target: frame.target_seq }, session)
      return session.deliver({ type: 'ack', status: 200, id, to_user_openid: peer, seq: event.seq, sent_at: event.sent_at, duplicate })
    }
    const { id: _, to_user_openid: __, ...draft } = frame
    const { event, duplicate } = this.append(openid, peer, draft, session)
    session.deliver({
      type: 'ack', status: 200, id, client_msg_id: frame.client_msg_id, to_user_openid: peer, seq: event.seq, sent_at: event.sent_at, duplicate,
    })
  }

  // ---- sync: a walk through what changed, the newest first, and where that took several answers a closing one through what changed meanwhile

  sync(session, { id, since, conversations: named = {}, limit = 20 }) {
    const me = session.openid
    let walk = since ? JSON.parse(since) : { from: 0 }
    // Another session was pushed what that one has passed.
    if (walk.closes !== undefined && walk.below && walk.session !== session.id) walk = { from: walk.closes }
    const isClosing = walk.closes !== undefined
    const began = walk.below ? walk.began : this.changes
    let room = ANSWER_BYTES
    let isFull = false
    let hasMore = false
    const said = []
    const add = (peer, events, more) => {
      const messages = []
      room -= 448
      for (const event of events) {
        const frame = this.frameOf(event, me, peer)
        const size = JSON.stringify(frame).length
        if (size > room && said.length + messages.length) return { ...this.overview(me, peer), messages, has_more: true, isCut: true }
        room -= size
        messages.push(frame)
      }
      return { ...this.overview(me, peer), messages, has_more: more }
    }
    for (const [peer, have] of Object.entries(named)) {
      const { events } = this.conversation(me, peer)
      const following = events.slice(Math.max(have, this.member(me, peer).cleared))
      const { isCut, ...part } = add(peer, following.slice(0, limit), following.length > limit)
      hasMore = hasMore || part.has_more
      said.push(part)
    }
    const peers = []
    for (const [key, conversation] of this.conversations) {
      const [a, b] = key.split(' ')
      if (a === me || b === me) peers.push({ peer: a === me ? b : a, at: conversation.at, events: conversation.events })
    }
    // It reaches a little back, so that some things come twice.
    const floor = (isClosing ? walk.closes : walk.from) - 3
    const changed = peers.filter(p => p.events.length && p.at > floor && (!walk.below || p.at < walk.below)).sort((a, b) => b.at - a.at)
    let { below } = walk
    const hasRoom = !(hasMore && room < 0)
    for (const { peer, at, events } of hasRoom ? changed : []) {
      if (!(peer in named)) {
        const visible = events.slice(this.member(me, peer).cleared)
        const told = visible.filter((event, i) => !isClosing || event.at > walk.closes || i === visible.length - 1).slice(-limit)
        const { isCut, ...part } = add(peer, told, visible.length > told.length)
        if (isCut) {
          isFull = true
          break
        }
        said.push(part)
      }
      below = at
    }
    const isThrough = hasRoom && !isFull
    const next = () => {
      if (!isThrough && !below) return walk
      if (!isThrough) return { ...walk, began, below, session: session.id }
      return isClosing ? (hasMore ? { closes: began } : { from: began }) : walk.below || hasMore ? { closes: began } : { from: began }
    }
    const cursor = next()
    const caught_up = !hasMore && (isThrough || isClosing)
    this.frames(session, { type: 'sync', status: 200, id }, said, {
      has_more: hasMore || !isThrough || cursor.closes !== undefined, caught_up, cursor: JSON.stringify(cursor),
    })
  }
  /** In frames of 64 KiB: a conversation that does not fit goes on in the next one. */
  frames(session, head, said, tail) {
    let frame = { ...head, conversations: [] }
    let room = FRAME_BYTES
    for (const { messages, ...overview } of said) {
      let part = { ...overview, messages: [] }
      room -= JSON.stringify(part).length
      if (room < 0) {
        session.deliver(frame)
        frame = { ...head, conversations: [] }
        room = FRAME_BYTES
      }
      frame.conversations.push(part)
      for (const message of messages) {
        const size = JSON.stringify(message).length
        if (size > room) {
          session.deliver(frame)
          part = { ...overview, messages: [] }
          frame = { ...head, conversations: [part] }
          room = FRAME_BYTES
        }
        room -= size
        part.messages.push(message)
      }
    }
    session.deliver({ ...frame, ...tail })
  }

  // ---- HTTP

  token(openid) {
    const token = `token-${++this.tokenCount}`
    this.tokens.set(token, openid)
    return { openid, token, expires_in: this.tokenTtl }
  }
  /** What an adapter's `request` calls. */
  request({ method, url, headers, body }) {
    const { pathname, searchParams } = new URL(url)
    const call = { method, path: pathname, query: Object.fromEntries(searchParams), body }
    this.calls.push(call)
    return new Promise((resolve, reject) => this.later(() => {
      if (!this.isUp) return reject({ errMsg: 'request:fail ' })
      const instead = this.http(call)
      if (instead === null) return
      resolve(instead || this.answer(call, this.tokens.get((headers.Authorization || '').replace('Bearer ', ''))))
    }))
  }
  answer({ method, path, query, body }, me) {
    const fail = (status, error) => ({ status, body: { status, error, message: error } })
    if (path === '/v1/login') {
      const [, openid] = /^dev:(.+)/.exec(body.code) || []
      return openid ? { status: 200, body: this.token(openid) } : fail(401, 'bad_code')
    }
    if (!me) return fail(401, 'unauthorized')
    if (path === '/v1/logout') {
      for (const [token, openid] of this.tokens) if (openid === me) this.tokens.delete(token)
      return { status: 204, body: '' }
    }
    if (path === '/v1/messages') {
      const { peer, limit } = query
      const below = Number(query.before_seq || Infinity)
      const visible = this.conversation(me, peer).events.filter(e => e.seq < below && e.seq > this.member(me, peer).cleared)
      return { status: 200, body: { messages: visible.slice(-limit).map(e => this.frameOf(e, me, peer)), has_more: visible.length > limit } }
    }
    if (path.startsWith('/v1/conversations/') && method === 'DELETE') {
      this.clear(me, path.slice('/v1/conversations/'.length), Number(query.up_to_seq))
      return { status: 204, body: '' }
    }
    if (path.startsWith('/v1/conversations/') && method === 'PUT') {
      const peer = path.split('/')[3]
      if (!this.conversation(me, peer).events.length) return fail(404, 'not_found')
      const pinned = [...this.conversations].filter(([key, { members }]) => key.split(' ').includes(me) && members.get(me)?.pinned)
      if (body.pinned && !this.member(me, peer).pinned && pinned.length >= 20) return fail(413, 'too_large')
      this.set(me, peer, body)
      return { status: 204, body: '' }
    }
    if (path.startsWith('/v1/notices')) return this.notices(method, path, body, me) || fail(404, 'not_found')
    if (path === '/v1/users') {
      return { status: 200, body: { users: query.openids.split(',').map(openid => ({ openid, nickname: '', avatar: '', ...this.profiles.get(openid) })) } }
    }
    if (path === '/v1/me' && method === 'PUT') {
      const profile = { openid: me, nickname: '', avatar: '', ...this.profiles.get(me), ...body }
      if (body.avatar) profile.avatar = '/v1/avatars/abc'
      this.profiles.set(me, profile)
      return { status: 200, body: profile }
    }
    return fail(404, 'not_found')
  }
  /** A report is counted once. */
  notices(method, path, body, me) {
    const mine = this.grants.get(me) || {}
    if (method === 'GET') return { status: 200, body: { templates: this.templates, grants: mine, quiet: this.quiet.get(me) || null } }
    if (path === '/v1/notices/quiet') this.quiet.set(me, body.from ? body : null)
    else {
      const { id, template_id: template, result } = body
      if (!this.templates.includes(template)) return
      if (result === 'accept' && !this.reports.has(id)) this.grants.set(me, { ...mine, [template]: (mine[template] || 0) + 1 })
      if (result === 'reject') this.grants.set(me, { ...mine, [template]: 0 })
      this.reports.add(id)
    }
    return { status: 204, body: '' }
  }
}

/** One socket, from the client's side and from the server's. */
class Session {
  constructor(server, openid, device, on) {
    Object.assign(this, { server, openid, device, on, isGone: false, id: ++server.sessionCount })
  }
  send(text) {
    // A socket that has vanished takes what is sent, as a dead TCP connection does.
    this.server.later(() => this.isGone || this.server.hear(this, JSON.parse(text)))
  }
  close() {
    this.isGone = true
    this.server.sessions.delete(this)
  }
  deliver(frame) {
    for (const { delay, ...each } of this.server.faults(frame, this)) {
      const text = JSON.stringify(each)
      if (text.length > FRAME_BYTES + 20000) throw new Error(`a frame of ${text.length}`)
      this.server.later(() => this.isGone || this.on.message(text), delay)
    }
  }
  end(code, reason) {
    this.server.sessions.delete(this)
    this.server.later(() => {
      if (this.isGone) return
      this.isGone = true
      this.on.close(code, reason)
    })
  }
}

module.exports = { Server }
