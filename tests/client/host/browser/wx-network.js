// Requests and sockets as WeChat gives them, over those of the browser.
import { emitter } from './tools.js'
import { settings } from './settings.js'

const MOST_SOCKETS = 5
const sockets = new Set()

export const dropSockets = () => { for (const socket of sockets) socket.close() }

function request(options) {
  const { url, method = 'GET', header = {}, data, timeout = 60000, dataType = 'json' } = options
  const fail = (why) => { const result = { errMsg: `request:fail ${why}` }; options.fail?.(result); options.complete?.(result) }
  if (settings.domainNotListed) return void queueMicrotask(() => fail('url not in domain list'))
  const controller = new AbortController()
  let late = false
  const timer = setTimeout(() => { late = true; controller.abort() }, timeout)
  const body = data === undefined || method === 'GET' || typeof data === 'string' ? data : JSON.stringify(data)
  fetch(url, { method, headers: { 'content-type': 'application/json', ...header }, body, signal: controller.signal })
    .then(async (response) => {
      const text = await response.text()
      const result = { errMsg: 'request:ok', statusCode: response.status, header: Object.fromEntries(response.headers), data: text, cookies: [] }
      if (dataType === 'json') try { result.data = JSON.parse(text) } catch { /* stays text, as in WeChat */ }
      options.success?.(result)
      options.complete?.(result)
    })
    .catch((error) => fail(late ? 'timeout' : error.name === 'AbortError' ? 'abort' : 'errcode:-102 cronet_error_code:-102 error_msg:net::ERR_CONNECTION_REFUSED'))
    .finally(() => clearTimeout(timer))
  return { abort: () => controller.abort() }
}

function connectSocket(options) {
  const succeed = (result) => { options.success?.(result); options.complete?.(result) }
  const fail = (why) => { const result = { errMsg: `connectSocket:fail ${why}` }; options.fail?.(result); options.complete?.(result) }
  const events = { open: emitter(), message: emitter(), error: emitter(), close: emitter() }
  const listen = { onOpen: events.open.on, onMessage: events.message.on, onError: events.error.on, onClose: events.close.on }
  const refused = settings.domainNotListed ? 'url not in domain list' : sockets.size >= MOST_SOCKETS ? 'exceed max connection count 5' : ''
  if (refused) {
    queueMicrotask(() => { fail(refused); events.error.emit({ errMsg: `connectSocket:fail ${refused}` }) })
    return { ...listen, send: (message) => message.fail?.({ errMsg: 'sendSocketMessage:fail' }), close() {} }
  }
  const socket = new WebSocket(options.url, protocolsOf(options))
  sockets.add(socket)
  let open = false
  socket.onopen = () => { open = true; events.open.emit({ header: {} }) }
  socket.onmessage = ({ data }) => events.message.emit({ data })
  socket.onclose = ({ code, reason }) => {
    sockets.delete(socket)
    // Of a handshake that failed, WeChat tells the error only.
    if (open) events.close.emit({ code, reason })
    else events.error.emit({ errMsg: 'connectSocket:fail' })
  }
  queueMicrotask(() => succeed({ errMsg: 'connectSocket:ok' }))
  return {
    ...listen,
    send(message) {
      if (socket.readyState !== WebSocket.OPEN) return message.fail?.({ errMsg: 'sendSocketMessage:fail SocketTask.readyState is not OPEN' })
      socket.send(message.data)
      message.success?.({ errMsg: 'sendSocketMessage:ok' })
    },
    close({ code = 1000, reason = '', success } = {}) {
      socket.close(code, reason)
      success?.({ errMsg: 'closeSocket:ok' })
    },
  }
}

// A browser sets no header on a socket; the server takes the token as a subprotocol instead.
function protocolsOf({ header = {}, protocols = [] }) {
  const name = Object.keys(header).find((key) => key.toLowerCase() === 'authorization')
  return name ? [...protocols, header[name].replace(/^Bearer /, 'bearer.')] : protocols
}

export const network = { request, connectSocket }
