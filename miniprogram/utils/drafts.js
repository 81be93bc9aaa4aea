// What is written and not sent, of each chat: kept in the storage, so that it survives a restart, and gone with the account.
const { isOpenid } = require('../sdk/hongyan')

const KEY = 'drafts'
// Of more, the oldest goes: what nobody came back to. WeChat gives a key 1 MB.
const MOST_DRAFTS = 50
const LONGEST_DRAFT = 4000
const SAVE_AFTER_MS = 1000

/** @typedef {{ peer: string, text: string, at: number }} Draft */

/**
 * The drafts of whoever is signed in at `chat`. `tell` hears of it where the storage has no room for them.
 * @param {import('../sdk/hongyan').Client} chat
 * @param {() => void} [tell]
 */
function createDrafts(chat, tell = () => {}) {
  let owner = ''
  /** @type {Map<string, Draft>} The oldest first. */
  let drafts = new Map()
  let timer = 0
  /** A full storage is told of once, until there is room again. */
  let isKept = true
  const listeners = new Set()
  const changed = () => listeners.forEach((run) => run())

  function load() {
    const stored = wx.getStorageSync(KEY)
    // Somebody else may write there.
    if (!stored || typeof stored.owner !== 'string' || !Array.isArray(stored.drafts)) return
    owner = stored.owner
    const isDraft = (each) => each && isOpenid(each.peer) && typeof each.text === 'string' && typeof each.at === 'number'
    drafts = new Map(stored.drafts.filter(isDraft).map((each) => [each.peer, each]))
  }
  function save() {
    clearTimeout(timer)
    timer = 0
    try {
      if (drafts.size) wx.setStorageSync(KEY, { owner, drafts: Array.from(drafts.values()) })
      else wx.removeStorageSync(KEY)
      isKept = true
    } catch (error) {
      if (isKept) tell()
      isKept = false
    }
  }
  /** Of somebody else, or of somebody who signed out, nothing stays. */
  function checkOwner() {
    if (owner === chat.openid) return
    // What was written before the first sign-in is of who signs in.
    if (owner || !chat.openid) drafts.clear()
    owner = chat.openid
    save()
    changed()
  }

  try {
    load()
  } catch (error) {
    // What cannot be read is not there.
  }
  checkOwner()
  chat.on('state', checkOwner)
  chat.on('conversations', checkOwner)

  return {
    /** @param {string} peer */
    get: (peer) => (drafts.get(peer) || { text: '' }).text,
    /** The newest first. */
    all: () => Array.from(drafts.values()).reverse(),
    /** Call it on every key; it is in the storage a second later, or after `save`. */
    set(/** @type {string} */ peer, /** @type {string} */ text) {
      // Who is signed out has nowhere to come back to.
      if (!text.trim() || chat.state === 'stopped') {
        if (!drafts.delete(peer)) return
      } else {
        if (this.get(peer) === text) return
        drafts.delete(peer)
        drafts.set(peer, { peer, text: text.slice(0, LONGEST_DRAFT), at: Date.now() })
        if (drafts.size > MOST_DRAFTS) drafts.delete(Array.from(drafts.keys())[0])
      }
      timer = timer || setTimeout(save, SAVE_AFTER_MS)
      changed()
    },
    /** At once: the page is left, or the app. */
    save() {
      if (timer) save()
    },
    /** Runs when a draft changed; gives what stops that. */
    on(/** @type {() => void} */ run) {
      listeners.add(run)
      return () => listeners.delete(run)
    },
  }
}

module.exports = { createDrafts }
