/** The socket: one after the other, what is asked over it and what comes. */
import { fault, faultOf, isFinal, noop, toFault } from '../errors.js'
import { isOpenid } from '../grammar.js'
import { credentials, distrust, token, WAIT_MS } from './account.js'
import { client } from './client.js'
import { frames } from './frames.js'
import { openPeer } from './history.js'
import { eventOf, receive } from './incoming.js'
import { emit } from './listeners.js'
import { look } from './marks.js'
import { after, base, knows, lazy, now, platform, random, randomId, setTimer } from './options.js'
import { save } from './saving.js'
import { load, store } from './storage.js'
import { sync } from './sync.js'
import { rowOf } from './table.js'

/** Silence that makes a socket doubtful. Where connecting takes long, so may an answer. */
const MIN_SILENCE_MS = 2000
/** Somebody at work wants no dead socket: after so long a silence it is asked. */
const IDLE_MS = 5000

/** The words of close codes, where a proxy has lost the reason. From 4500 on the session is not to be had again. */
const CLOSE_WORDS = ['unauthorized', 'bad_request', 'replaced', 'kicked', 'banned', 'too_many_errors']

export let isVisible = true
let tries, signInRetries
/** When a frame came last, and how many there were. */
let heardAt = 0
let heard = 0
let silence = MIN_SILENCE_MS
/** Null until it is open, and after its end. */
let socket = null
/** Ends the socket, for a reason. */
let end = noop
export const giveUp = () => end(fault('offline'))
/** Ends the wait for the next attempt. */
let hurry = noop
/** Each `start` has a number: what comes of an earlier one is not heard. */
let run = 0
let questions = 0
let unwatch = noop
export const asked = new Map()

let device = load('device')
// Labels are shorter than openids.
if (!isOpenid(device) || device[32]) device = randomId()
store('device', device)

const turn = (next, why, retryAt) => {
  Object.assign(client, { state: next, error: why })
  emit('state', { state: next, error: why, retryAt })
}
export const isOnline = () => socket && client.state === 'online'
export const tell = frame => {
  if (socket) socket.send(JSON.stringify(frame))
  return socket
}
/**
 * Ends the socket where nothing comes back: a heart is answered at once, whatever else takes its time. A timer that comes late was asleep, and
 * so was everything else; but one that always comes late is slow.
 */
const probe = async isSecond => {
  const link = socket
  const before = heard
  const begun = now()
  if (!tell({ type: 'heart', id: 'h' })) return
  await after(silence)
  if (link !== socket || heard !== before) return
  if (!isSecond && now() - begun > 2 * silence) probe(true)
  // Nobody else's socket ended with this one, so the first attempt need not be put off by chance.
  else end(fault('timeout', '', tries ? {} : { retry_after_ms: 0 }))
}
/** Not while a sync is under way: a frame of it is told when all of it is here. */
export const probeIfIdle = () => {
  if (isOnline() && now() - heardAt > IDLE_MS) probe()
}
/** The frame that answers. */
export const ask = async frame => {
  const id = 'q' + ++questions
  if (!tell({ ...frame, id })) throw fault('offline')
  const answer = new Promise(resolve => asked.set(id, resolve))
  // What a sync brings may take long, and a frame of it is told when all of it is here.
  const isSync = frame.type === 'sync'
  const until = now() + WAIT_MS
  for (;;) {
    const before = heard
    const given = await Promise.race([answer, after(isSync ? WAIT_MS : silence)])
    if (given instanceof Error) throw given
    if (given) return given
    if (!isSync && now() >= until) throw fault('timeout')
    if (heard !== before) continue
    // The end is the answer then: a sync that was lost would be waited for without end.
    if (isSync) end(fault('timeout'))
    else probe()
  }
}
const hear = frame => {
  const { id, type, from_user_openid: from, to_user_openid: to } = frame
  // An ack says only whom its message went to.
  const isOwn = !from || from === client.openid
  const peer = isOwn ? to || frame.peer : from
  const row = isOpenid(peer) && rowOf(peer)
  // A peer of another kind is one of a later release.
  if (peer && !row) return
  if (frames[type]) frames[type](frame, row, isOwn)
  // What has no place in a conversation is of a later release.
  else if (row && frame.seq) receive(row, eventOf(frame))
  if (!asked.has(id) || type === 'sync' && !frame.cursor) return
  asked.get(id)(frame.error ? faultOf(frame) : frame)
  asked.delete(id)
}
export const beat = async (ms, isHalf) => {
  const link = socket
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
const session = async mine => {
  const bearer = await token()
  let link, isOver
  let lastError = {}
  const begun = now()
  if (mine === run) await new Promise((resolve, reject) => {
    end = reject
    setTimer(() => socket === link || reject(fault('timeout')), WAIT_MS)
    link = platform.connect({ url: `${base.replace('http', 'ws')}/${client.openid}?device=${device}${knows[0] ? `&features=${knows}` : ''}`, token: bearer }, {
      // One that was given up before it opened could not be closed then, and WeChat allows five.
      open: () => isOver && link.close(1000, ''),
      message(text) {
        if (isOver) return
        try {
          const frame = JSON.parse(text)
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
        const [, wait] = /retry_ms=(\d+)/.exec(reason) || []
        // What the frame before says is more than the code, but for the last of many bad frames.
        const word = code >= 4500 && reason || code !== 4506 && lastError.error || CLOSE_WORDS[code - 4501] || (code >= 4500 ? 'unavailable' : code === 4003 && 'timeout')
        const message = lastError.message || reason
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
const stay = async () => {
  const mine = ++run
  tries = signInRetries = 0
  while (mine === run) {
    turn('connecting')
    const why = await session(mine).catch(toFault)
    if (mine !== run) return
    // Tokens end, and codes grow old. Another one mends that, or none does.
    if (/unauthorized|bad_code|wrong_appid/.test(why.word) && !signInRetries++) continue
    if (why.code >= 4500 || isFinal(why)) return turn('refused', why)
    const backoff = random() * Math.min(30000, 500 * 2 ** tries++)
    const { retry_after_ms: wait = backoff } = why
    turn('waiting', why, now() + wait)
    await new Promise(resolve => after(wait).then((hurry = resolve)))
  }
}
/** What was missed is here. */
export const arrived = () => {
  tries = signInRetries = 0
  if (socket && client.state !== 'online') turn('online')
}

/** Somebody looks: what was missed is asked for. */
const refresh = () => {
  tries = 0
  hurry()
  probe()
  return sync()
}
/** After the end of a socket that was told together with this. */
const refreshSoon = lazy(0, refresh)
/** The way to the server is another one: a socket may live on, an attempt on the old way is lost. */
const reroute = () => {
  if (!socket) giveUp()
  refreshSoon()
}
const show = isShown => {
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
