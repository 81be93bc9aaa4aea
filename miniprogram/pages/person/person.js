// The card of a person: who they are, and what one may do about them.
const words = require('../../i18n/index')
const { confirm, copy, go, say, sayPin } = require('../../utils/ask')
const { isBlocked, setBlocked } = require('../../utils/blocks')
const { isOpenid } = require('../../sdk/hongyan')
const { faceOf } = require('../../utils/people')
const { changes } = require('../../utils/table')
const { fill } = require('../../utils/words')

/** @type {import('../../sdk/hongyan').Client & import('../../sdk/extras').PinCalls} */
const chat = getApp().chat

Page({
  data: {
    t: words.person,
    person: faceOf({ openid: '', nickname: '', avatar: '' }),
    isMe: false,
    /** There is a conversation, which may be pinned and muted. */
    isKnown: false,
    pinned: false,
    muted: false,
    blocked: false,
    isBlockedKnown: false,
  },
  openid: '',
  /** @type {Array<() => void>} */
  stops: [],

  onLoad({ openid = '' }) {
    if (!isOpenid(openid)) {
      wx.reLaunch({ url: '/pages/conversations/conversations', fail() {} })
      return
    }
    this.openid = openid
    wx.setNavigationBarTitle({ title: words.person.title, fail() {} })
    const render = () => this.render()
    this.stops = [
      chat.on('users', render),
      chat.on('conversations', render),
      chat.on('state', () => { if (chat.state === 'online') this.lookUp() }),
    ]
    this.render()
    this.lookUp()
  },
  onUnload() {
    this.stops.forEach((stop) => stop())
  },

  render() {
    const conversation = chat.conversations().find(({ peer }) => peer === this.openid)
    this.setData(changes(this.data, {
      person: faceOf(chat.user(this.openid)),
      isMe: this.openid === chat.openid,
      isKnown: !!conversation,
      pinned: !!conversation && conversation.pinned,
      muted: !!conversation && conversation.muted,
    }))
  },
  async lookUp() {
    if (this.data.isMe || this.data.isBlockedKnown) return
    try {
      this.setData({ blocked: await isBlocked(chat, this.openid), isBlockedKnown: true })
    } catch (error) {
      // Where there is no connection it is asked again with the next one.
      if (chat.state === 'online') say(error)
    }
  },

  onPin({ detail }) {
    chat.setPinned(this.openid, detail.value).catch((error) => {
      sayPin(error)
      this.setSwitch('pinned', !detail.value)
    })
  },
  onMute({ detail }) {
    chat.setMuted(this.openid, detail.value).catch((error) => {
      say(error)
      this.setSwitch('muted', !detail.value)
    })
  },
  onBlock({ detail }) {
    if (!detail.value) return this.block(false)
    const { blockTitle: title, blockHint, blockYes: yes } = words.person
    // The switch is back until the user has said yes.
    this.setSwitch('blocked', false)
    confirm({ title, content: fill(blockHint, this.data.person), yes, grave: true }, () => this.block(true))
  },
  async block(on) {
    try {
      await setBlocked(chat, this.openid, on)
      this.setSwitch('blocked', on)
    } catch (error) {
      say(error)
      this.setSwitch('blocked', !on)
    }
  },
  /** A switch has moved by itself already: WeChat sets what is other in the data only. */
  setSwitch(name, on) {
    this.setData({ [name]: !on })
    this.setData({ [name]: on })
  },
  onCopy() {
    copy(this.openid, words.person.openidCopied)
  },
  onWrite() {
    const pages = getCurrentPages()
    const below = pages[pages.length - 2]
    // Where the card was opened from the chat itself, that is one step back.
    if (below && below.route === 'pages/chat/chat' && below.options.peer === this.openid) wx.navigateBack({ fail() {} })
    else go(`/pages/chat/chat?peer=${this.openid}`)
  },
})
