/** What the app has said, and the platform. All times and timers are the clock's. */
import { createBrowserAdapter } from '../browser.js'
import { demand, isSeq, isString } from '../grammar.js'
import { createAdapter } from '../wechat.js'

export const { url, signIn, storageKey = 'hongyan', pageSize = 20, adapter, parts = [], clock: { now = Date.now, random = Math.random, setTimeout: setTimer = setTimeout } = {} } = options
demand(isString(url) && /^https?:\/\/[^/]/.test(url), 'url')
demand(!signIn || signIn.call, 'signIn')
demand(storageKey && isString(storageKey), 'storageKey')
demand(isSeq(pageSize) && pageSize && pageSize <= 100, 'pageSize')

export const platform = adapter || (typeof wx === 'object' && 'connectSocket' in wx ? createAdapter(wx) : createBrowserAdapter())
/** What the handshake says that this client knows. */
export const knows = []
export const base = url.replace(/\/+$/, '')

/** @type {(ms: number) => Promise<void>} Timers have 31 bits: with more, or with no number, they would not wait at all. */
export const after = ms => new Promise(resolve => setTimer(resolve, ms < 2e9 ? ms : 2e9))
/** `run` a while later, and once, however often it is asked for until then. */
export const lazy = (ms, run) => {
  let timer
  return () => (timer = timer || setTimer(() => {
    timer = null
    run()
  }, ms))
}
const half = () => (1 + random()).toString(36).slice(2, 12)
export const randomId = () => half() + half()
