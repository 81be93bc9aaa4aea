/**
 * A sound and a desktop notification for what comes while the page is hidden. Both are off until the user turns them on, and none of them is for a
 * muted chat.
 */

import { nameOf } from './avatar.js'
import { summary, text } from './text.js'

const OFF = { sound: false, notification: false, words: false }
const ICON = '/assets/icon.svg'
/** Whoever writes ten lines is heard once. */
const SILENCE_MS = 2000
/** Two notes: Hz, seconds from the first one, and how long each takes to fade. */
const NOTES = [[880, 0], [1320, 0.12]]
const FADE_S = 0.35
const VOLUME = 0.12

export class Alerts {
  #chat
  #store
  #audio
  #soundedAt = -Infinity
  /** By peer: the notification on the desktop, and the key of its message. */
  #shown = new Map()

  constructor(chat, store) {
    this.#chat = chat
    this.#store = store
    chat.on('incoming', ({ message }) => this.#came(message))
    for (const event of ['messages', 'conversations']) chat.on(event, () => this.#tidy())
    document.addEventListener('visibilitychange', () => { if (!document.hidden) this.#closeAll() })
    // A browser lets a page sound after a gesture, so the first one after a reload is used for that.
    for (const type of ['pointerdown', 'keydown']) addEventListener(type, () => { if (this.settings().sound) this.#wakeAudio() }, { capture: true, passive: true })
  }

  /** What is on. A permission that was taken away since turns the notifications off. */
  settings() {
    const { sound, notification, words } = { ...OFF, ...this.#store.load('alerts', OFF) }
    return { sound: sound === true, notification: notification === true && permission() === 'granted', words: words === true }
  }

  save(settings) {
    this.#store.save('alerts', settings)
  }

  /** Why there can be no notifications, as the key of a text; nothing where there can. Asks the user where the browser does: for a click. */
  async askToNotify() {
    if (!isSecureContext) return 'alert_insecure'
    if (permission() === undefined) return 'alert_unsupported'
    if (permission() === 'default') await Notification.requestPermission()
    if (permission() === 'denied') return 'alert_denied'
    if (permission() !== 'granted') return 'alert_unanswered'
    return canNotify() ? undefined : 'alert_unsupported'
  }

  /** The sound once, for a click. Returns whether this browser can. */
  trySound() {
    this.#soundedAt = -Infinity
    const canSound = this.#sound()
    // It is no news, and keeps none quiet.
    this.#soundedAt = -Infinity
    return canSound
  }

  #came(message) {
    if (!document.hidden || message.recalled) return
    const conversation = this.#chat.conversations().find(({ peer }) => peer === message.peer)
    if (conversation?.muted) return
    const { sound, notification, words } = this.settings()
    if (sound) this.#sound()
    if (notification) this.#notify(message, words)
  }

  #notify(message, withWords) {
    const { peer, key } = message
    const user = this.#chat.user(peer)
    const body = withWords ? summary(message) : text('alert_new_message')
    let shown
    try {
      // One a chat: the tag lets the next one take its place. The sound is the page's own.
      shown = new Notification(nameOf(user), { body, tag: `hongyan.${this.#chat.openid}.${peer}`, icon: user.avatar || ICON, silent: true })
    } catch {
      return
    }
    this.#shown.set(peer, { shown, key })
    shown.onclick = () => {
      focus()
      location.hash = peer
      shown.close()
    }
    shown.onclose = () => { if (this.#shown.get(peer)?.shown === shown) this.#shown.delete(peer) }
  }

  /** What was read on another device, or recalled, does not stay on the desktop. */
  #tidy() {
    if (!this.#shown.size) return
    const unread = new Map(this.#chat.conversations().map(({ peer, unread }) => [peer, unread]))
    for (const [peer, { shown, key }] of this.#shown) {
      const isRecalled = this.#chat.messages(peer).some(message => message.key === key && message.recalled)
      if (isRecalled || !unread.get(peer)) shown.close()
    }
  }

  #closeAll() {
    for (const { shown } of this.#shown.values()) shown.close()
    this.#shown.clear()
  }

  #wakeAudio() {
    try {
      this.#audio ??= new AudioContext()
      if (this.#audio.state === 'suspended') this.#audio.resume().catch(() => {})
    } catch {
      // Without a device for it there is no sound.
    }
    return this.#audio
  }

  #sound() {
    const audio = this.#wakeAudio()
    if (!audio) return false
    if (performance.now() - this.#soundedAt < SILENCE_MS) return true
    this.#soundedAt = performance.now()
    for (const [frequency, after] of NOTES) {
      const at = audio.currentTime + after
      const volume = new GainNode(audio, { gain: VOLUME })
      volume.gain.setValueAtTime(VOLUME, at)
      volume.gain.exponentialRampToValueAtTime(0.0001, at + FADE_S)
      const note = new OscillatorNode(audio, { type: 'sine', frequency })
      note.connect(volume).connect(audio.destination)
      note.start(at)
      note.stop(at + FADE_S)
    }
    return true
  }
}

const permission = () => globalThis.Notification?.permission

/** Browsers of phones have the permission, and no notifications for a page without a worker. */
function canNotify() {
  try {
    new Notification(text('app'), { silent: true }).close()
    return true
  } catch {
    return false
  }
}
