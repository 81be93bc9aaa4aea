'use strict'
// The seed article's design, as faithfully as its text allows: one process, a connection a user, an array of connections that is
// scanned for the recipient, the login code checked at WeChat, every message inserted and committed on its own before it is passed on.
//
//   node server.js --port 9999 --db chat.db --wechat http://127.0.0.1:9980 --appid APPID --secret SECRET

const { parseArgs } = require('node:util')
const Database = require('better-sqlite3')
const ws = require('nodejs-websocket')

const { values: options } = parseArgs({
  options: {
    port: { type: 'string', default: '9999' },
    db: { type: 'string', default: 'chat.db' },
    wechat: { type: 'string', default: 'https://api.weixin.qq.com' },
    appid: { type: 'string' },
    secret: { type: 'string' }
  }
})

const db = new Database(options.db)
db.pragma('journal_mode = WAL')
db.pragma('synchronous = FULL')
db.exec(`CREATE TABLE IF NOT EXISTS messages (
  id INTEGER PRIMARY KEY,
  type TEXT, message TEXT, from_user_openid TEXT, to_user_openid TEXT, date TEXT, created_at INTEGER,
  is_read INTEGER NOT NULL
)`)
const insert = db.prepare('INSERT INTO messages (type, message, from_user_openid, to_user_openid, date, created_at, is_read) VALUES (?, ?, ?, ?, ?, ?, ?)')

async function openidOf (code) {
  const query = new URLSearchParams({ appid: options.appid, secret: options.secret, js_code: code, grant_type: 'authorization_code' })
  const answer = await fetch(`${options.wechat}/sns/jscode2session?${query}`)
  return (await answer.json()).openid
}

const server = ws.createServer(conn => {
  const url = new URL(conn.path, 'ws://host')
  const openid = url.pathname.slice(1)
  const peer = url.searchParams.get('to_user_openid')
  const code = url.searchParams.get('code')
  conn.on('error', () => {})
  if (!openid || !peer || !code) return conn.close(4502, '参数缺失')
  conn.on('text', text => {
    if (!conn.openid) return
    const frame = JSON.parse(text)
    if (frame.type === 'heart') return
    const recipient = server.connections.find(other => other.openid === frame.to_user_openid)
    insert.run(frame.type, frame.message, openid, frame.to_user_openid, frame.date, frame.created_at, recipient ? 1 : 0)
    if (recipient) recipient.sendText(JSON.stringify({ ...frame, status: 200 }))
  })
  openidOf(code).then(found => {
    if (found !== openid) return conn.close(4501, '无权限')
    conn.openid = openid
    conn.sendText(JSON.stringify({ type: 'init', status: 200, data: 'link ok' }))
  }, () => conn.close(4501, '无权限'))
})

server.listen(Number(options.port), '127.0.0.1', () => console.log('ready'))
process.on('SIGTERM', () => process.exit(0))
