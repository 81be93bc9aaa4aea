'use strict'
// What the network alone costs: a router that stores nothing, on uWebSockets.js. It speaks as much of hongyan.v1 as the load needs: an init,
// an ack to the sender and the message to the recipient, as JSON that is parsed and written anew.
//
//   node server.js --port 9999

const { parseArgs } = require('node:util')
const uws = require('uwebsockets')

const { values: options } = parseArgs({ options: { port: { type: 'string', default: '9999' } } })

const sockets = new Map()
const seqs = new Map()
const decoder = new TextDecoder()

uws.App().ws('/:openid', {
  maxPayloadLength: 64 * 1024,
  idleTimeout: 120,
  upgrade (res, req, context) {
    const [key, protocol, extensions] = ['key', 'protocol', 'extensions'].map(name => req.getHeader(`sec-websocket-${name}`))
    res.upgrade({ openid: req.getParameter(0) }, key, protocol, extensions, context)
  },
  open (ws) {
    sockets.set(ws.getUserData().openid, ws)
    ws.send(JSON.stringify({ type: 'init', status: 200, data: 'link ok' }))
  },
  message (ws, bytes) {
    const frame = JSON.parse(decoder.decode(bytes))
    if (frame.type === 'heart') return
    const { openid } = ws.getUserData()
    const to = frame.to_user_openid
    const conversation = openid < to ? `${openid}:${to}` : `${to}:${openid}`
    const seq = (seqs.get(conversation) ?? 0) + 1
    seqs.set(conversation, seq)
    const sent_at = Date.now() // eslint-disable-line camelcase
    ws.send(JSON.stringify({ type: 'ack', status: 200, client_msg_id: frame.client_msg_id, to_user_openid: to, seq, sent_at, duplicate: false }))
    sockets.get(to)?.send(JSON.stringify({ ...frame, status: 200, from_user_openid: openid, seq, sent_at }))
  },
  close (ws) {
    sockets.delete(ws.getUserData().openid)
  }
}).listen('127.0.0.1', Number(options.port), listening => {
  if (!listening) {
    console.error(`port ${options.port} is taken`)
    process.exit(1)
  }
  console.log('ready')
})
process.on('SIGTERM', () => process.exit(0))
