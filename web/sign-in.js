/** Who is at the page. Leaving is always a new load of the page: nothing of the one before stays. */

import { $ } from './dom.js'
import { extras } from './extras.mjs'
import { TabStore, tabStorage } from './tab.js'
import { isOpenid, text } from './text.js'

const REMEMBERED = 'hongyan.credential'
const REASON = 'hongyan.reason'
const PAGE_SIZE = 50

/**
 * What people enter in each mode. `read` says who that is and how they sign in, or what is wrong with it; `refused` is said when the server does
 * not take it. Both name a text.
 */
const MODES = {
  dev: {
    read(name) {
      if (!isOpenid(name)) return { problem: 'bad_name' }
      return { openid: name, signIn: api => api.login(`dev:${name}`) }
    },
    refused: 'error_bad_code',
  },
  token: {
    read(token) {
      const { sub, exp } = claims(token)
      if (!sub) return { problem: 'token_malformed' }
      const left = () => Math.floor(exp - Date.now() / 1000)
      if (left() <= 0) return { problem: 'token_expired' }
      // One that has ended meanwhile is for the server to refuse: then the page asks for another one.
      return { openid: sub, signIn: async () => ({ openid: sub, token, expires_in: Math.max(1, left()) }) }
    },
    refused: 'token_refused',
  },
}

/** What a token says of itself; nothing where it is none. Whether it is true is for the server to say. */
function claims(token) {
  try {
    const [, body] = /^[\w-]+\.([\w-]+)\.[\w-]+$/.exec(token)
    const { sub, exp } = JSON.parse(atob(body.replace(/-/g, '+').replace(/_/g, '/')))
    return typeof sub === 'string' && isOpenid(sub) && Number.isFinite(exp) ? { sub, exp } : {}
  } catch {
    return {}
  }
}

/** Resolves with a client that has been started and what else the tab keeps of the user, when somebody is signed in. */
export async function signIn(mode) {
  const credential = sessionStorage.getItem(REMEMBERED)
  const reason = sessionStorage.getItem(REASON)
  if (credential === null) {
    // Those who must sign in again find their unsent messages and drafts. Of those who have left, nothing stays.
    if (!reason) sessionStorage.clear()
    return askFor(mode, reason)
  }
  const { problem, ...user } = MODES[mode].read(credential)
  return problem ? askFor(mode, problem) : start(user)
}

/** Forgets who is at the page and asks anew, saying why. */
export function signInAgain(mode) {
  const { problem } = MODES[mode].read(sessionStorage.getItem(REMEMBERED))
  leave(problem ?? MODES[mode].refused)
}

export function leave(reason) {
  window.onbeforeunload = null
  sessionStorage.removeItem(REMEMBERED)
  if (reason) sessionStorage.setItem(REASON, reason)
  location.replace(location.pathname)
}

function start({ openid, signIn }) {
  const { createBrowserAdapter, createClient } = globalThis.hongyan
  const storageKey = `hongyan.${openid}`
  const chat = createClient({
    url: location.origin,
    adapter: { ...createBrowserAdapter(), storage: tabStorage },
    signIn,
    storageKey,
    pageSize: PAGE_SIZE,
    parts: [extras],
  })
  chat.start()
  return { chat, store: new TabStore(storageKey) }
}

function askFor(mode, problem) {
  const view = $('#sign-in')
  const field = $('#credential')
  const button = $('button', view)
  const error = $('#sign-in-error')
  $('label', view).textContent = text(mode === 'dev' ? 'sign_in_name' : 'sign_in_token')
  $('#sign-in-hint').textContent = text(mode === 'dev' ? 'sign_in_name_hint' : 'sign_in_token_hint')
  const say = key => {
    error.textContent = key ? text(key) : ''
    field.setAttribute('aria-invalid', String(Boolean(key)))
  }
  say(problem)
  view.hidden = false
  field.focus()
  return new Promise(resolve => {
    $('form', view).onsubmit = async event => {
      event.preventDefault()
      const credential = field.value.trim()
      const { problem, ...user } = MODES[mode].read(credential)
      say(problem)
      if (problem) return field.focus()
      button.disabled = true
      const started = start(user)
      const { chat } = started
      if (await taken(chat)) {
        sessionStorage.setItem(REMEMBERED, credential)
        sessionStorage.removeItem(REASON)
        view.hidden = true
        return resolve(started)
      }
      say(chat.error.word === 'banned' ? 'error_banned' : MODES[mode].refused)
      chat.stop()
      button.disabled = false
      field.focus()
    }
  })
}

/** Whether the server lets this user in; a server that is away is no reason to ask again. */
function taken(chat) {
  return new Promise(resolve => {
    const stop = chat.on('state', ({ state }) => {
      if (state === 'connecting') return
      stop()
      resolve(state !== 'refused')
    })
  })
}
