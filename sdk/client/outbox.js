/** What the user writes, until the server has it. */
import { fault, isFinal, unavailable } from '../errors.js'
import { demand, draftOf, isEvent, isOpenid, isSeq } from '../grammar.js'
import { client } from './client.js'
import { ask, isOnline, probeIfIdle, tell } from './connection.js'
import { view } from './conversations.js'
import { limits } from './frames.js'
import { eventOf, receive } from './incoming.js'
import { changed } from './listeners.js'
import { after, now, randomId } from './options.js'
import { saveOutbox } from './saving.js'
import { rowOf } from './table.js'

const bytesOf = text => encodeURIComponent(text).replace(/%../g, '%').length
export const isFailed = entry => entry.state === 'failed'

/** Conversations of which something is on its way. */
const busy = new Set()

export const acked = (row, entry, { seq, sent_at }) => {
  if (!seq || !isEvent({ ...entry, seq, sent_at })) throw unavailable()
  receive(row, Object.assign(entry, { seq, sent_at }))
  // Before a first message the peer hears of no marks: they are told anew.
  if (!row.window.filter(event => event.mine)[1]) row.recv_seq = row.read_told = 0
}
/** One message of a conversation is on its way at a time, so that one that must be sent again is not overtaken. */
export const flush = async row => {
  if (busy.has(row)) return
  busy.add(row)
  for (let entry; (entry = isOnline() && row.outbox.find(each => each.state === 'sending' && !each.seq));) {
    const { type, message, client_msg_id, extra } = entry
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
const takeOut = (peer, id, isAllowed, isAgain) => {
  const row = rowOf(peer)
  const taken = row.outbox.filter(isAllowed).find(entry => entry.client_msg_id === id)
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
    const row = rowOf(peer)
    const draft = draftOf(text, more || {})
    const { message, extra } = draft
    if (bytesOf(message) > limits.message_bytes || bytesOf(JSON.stringify({ ...extra, message })) > limits.fields_bytes) throw fault('too_large')
    // With nothing before it, it goes out below.
    const untried = busy.has(row) || !isOnline()
    const entry = { ...draft, client_msg_id: randomId(), sent_at: now(), mine: true, seq: 0, state: 'sending', untried }
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
    const row = rowOf(peer)
    demand(target && isSeq(target), 'seq')
    const frame = { type: 'recall', target_seq: target, to_user_openid: peer }
    const { seq, sent_at } = await ask(frame)
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
