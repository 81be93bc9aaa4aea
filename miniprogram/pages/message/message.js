// One message for itself: the whole of a long one, and of any of them what one wants to select.
const words = require('../../i18n/index')
const { copy } = require('../../utils/ask')
const { isOpenid } = require('../../utils/invite')
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
  text: '',

  onLoad({ peer = '', key = '' }) {
    wx.setNavigationBarTitle({ title: words.whole.title, fail() {} })
    const message = isOpenid(peer) ? chat.messages(peer).find((each) => each.key === key) : undefined
    this.text = message ? textOf(message) : ''
    for (let from = 0, index = 0; from < this.text.length; from += PIECE_CHARACTERS, index += 1) {
      this.setData({ [`pieces[${index}]`]: this.text.slice(from, from + PIECE_CHARACTERS) })
    }
  },
  onCopy() {
    copy(this.text)
  },
})
