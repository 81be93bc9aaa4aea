/**
 * Who is at the page. Remembered for this tab alone, so that two tabs can be two people; each of them has a place of her own in the storage.
 * Leaving is always a new load of the page: nothing of the one before stays.
 */

import { $ } from './dom.js'
import { text } from './text.js'

const REMEMBERED = 'hongyan.credential'
const REASON = 'hongyan.reason'
const OPENID = /^[A-Za-z0-9_-]{1,64}$/
const PAGE_SIZE = 50

/**
 * What people enter in each mode, and what becomes of it. `read` gives the user of it, or throws the name of the text that says what is wrong.
 */
const MODES = {
  dev: {
    read(name) {
      if (!OPENID.test(name)) throw 'bad_name'
      return { openid: name, signIn: api => api.login(`dev:${name}`) }
    },
    refused: 'error_bad_code',
  },
  token: {
    read(token) {
      const { sub, exp } = claims(token)
      const left = () => Math.floor(exp - Date.now() / 1000)
      if (left() <= 0) throw 'token_expired'
      return { openid: sub, signIn: async () => ({ openid: sub, token, expires_in: left() }) }
    },
    refused: 'token_refused',
  },
}

/** What a token says of itself. Whether it is true is for the server to say. */
function claims(token) {
  try {
    const [, body] = token.split('.')
    const bytes = Uint8Array.from(atob(body.replace(/-/g, '+').replace(/_/g, '/')), letter => letter.charCodeAt(0))
    const { sub, exp } = JSON.parse(new TextDecoder().decode(bytes))
    if (OPENID.test(sub) && Number.isFinite(exp)) return { sub, exp }
  } catch {
    // Then it is as malformed as one that lacks something.
  }
  throw 'token_malformed'
}

/** Resolves with a client that has been started, when somebody is signed in. */
export async function signIn(mode) {
  const credential = sessionStorage.getItem(REMEMBERED)
  if (credential !== null) {
    try {
      return start(mode, credential)
    } catch (problem) {
      return askFor(mode, problem)
    }
  }
  const reason = sessionStorage.getItem(REASON)
  sessionStorage.removeItem(REASON)
  return askFor(mode, reason)
}

/** Forgets who is at the page and asks anew, saying why. */
export function signInAgain(mode) {
  sessionStorage.setItem(REASON, MODES[mode].refused)
  leave()
}

export function leave() {
  sessionStorage.removeItem(REMEMBERED)
  location.replace(location.pathname)
}

function start(mode, credential) {
  const { openid, signIn } = MODES[mode].read(credential)
  const chat = globalThis.hongyan.createClient({ url: location.origin, signIn, storageKey: `hongyan.${openid}`, pageSize: PAGE_SIZE })
  chat.start()
  return chat
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
      let chat
      try {
        chat = start(mode, credential)
      } catch (key) {
        say(key)
        field.focus()
        return
      }
      say('')
      button.disabled = true
      if (await taken(chat)) {
        sessionStorage.setItem(REMEMBERED, credential)
        view.hidden = true
        resolve(chat)
      } else {
        chat.stop()
        say(MODES[mode].refused)
        field.focus()
      }
      button.disabled = false
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
