// One message for itself: the whole of a long one, and of any of them what one wants to select.
const words = require('../../i18n/index')
const { copy } = require('../../utils/ask')
const { isOpenid } = require('../../sdk/hongyan')
const { textOf } = require('../../utils/messages')

/** @type {import('../../sdk/hongyan').Client} */
const chat = getApp().chat

// A selection ends with its `<text>`, so that a message is in several where one would be too much for `setData` only.
const PIECE_CHARACTERS = 80 * 1024

Page({
  data: {
    t: words.whole,
    /** @type {string[]} */
    pieces: [],
  },
  peer: '',
  key: '',
  text: '',
  /** @type {Array<() => void>} */
  stops: [],

  onLoad({ peer = '', key = '' }) {
    wx.setNavigationBarTitle({ title: words.whole.title, fail() {} })
    if (!isOpenid(peer)) return
    this.peer = peer
    this.key = key
    this.stops = [chat.on('messages', (detail) => { if (detail.peer === peer) this.render() })]
    this.render()
  },
  onUnload() {
    this.stops.forEach((stop) => stop())
  },
  /** What was recalled meanwhile is gone here too. What is only not at hand any more stays: somebody reads it. */
  render() {
    const message = chat.messages(this.peer).find(({ key }) => key === this.key)
    if (!message && this.text) return
    const text = message && !message.recalled ? textOf(message) : ''
    // Nothing changes below a finger that selects.
    if (text === this.text) return
    this.text = text
    this.setData({ pieces: [] })
    for (let from = 0, index = 0; from < text.length; from += PIECE_CHARACTERS, index += 1) {
      this.setData({ [`pieces[${index}]`]: text.slice(from, from + PIECE_CHARACTERS) })
    }
  },
  onCopy() {
    copy(this.text)
  },
})
