const words = require('../../i18n/index')
const { createWindow } = require('../../components/chat-room/window')
const { roomRows } = require('../../components/chat-room/rows')
const { patchList, changes } = require('../../utils/patch')
const { followConnection, QUIET } = require('../../utils/connection')
const { invitation, isOpenid } = require('../../utils/invite')
const { errorText } = require('../../utils/messages')
const { faceOf } = require('../../utils/people')
const { soon } = require('../../utils/soon')

/** @type {import('../../sdk/hongyan').Client} */
const chat = getApp().chat
/** @type {import('../../sdk/notices').Notices} */
const notices = getApp().notices

Page({
  data: {
    t: words.room,
    rows: [],
    me: faceOf({ openid: '', nickname: '', avatar: '' }),
    peer: faceOf({ openid: '', nickname: '', avatar: '' }),
    follow: true,
    detached: false,
    fresh: 0,
    loading: false,
    opening: true,
    draft: '',
    title: '',
    notice: QUIET,
  },
  peer: '',
  gone: false,
  /** What was new when the room was entered: above `read`, and up to `until`. */
  entered: { read: 0, until: 0, online: false },
  window: createWindow(),
  /** @type {Array<() => void>} */
  stops: [],

  onLoad({ peer = '' }) {
    // A card that somebody shares may say anything.
    if (!isOpenid(peer)) {
      wx.reLaunch({ url: '/pages/conversations/conversations' })
      return
    }
    this.peer = peer
    this.window = createWindow()
    const render = soon(() => this.render())
    this.stops = [
      chat.on('messages', (detail) => { if (detail.peer === this.peer) render() }),
      chat.on('conversations', render),
      chat.on('users', render),
      followConnection(chat, (notice) => {
        this.setData({ notice })
        if (notice.busy) wx.showNavigationBarLoading()
        else wx.hideNavigationBarLoading()
      }),
      render.cancel,
    ]
    this.render()
  },
  async onShow() {
    if (!this.peer) return
    const { read_seq = 0 } = chat.conversations().find(({ peer }) => peer === this.peer) || {}
    this.entered = { read: read_seq, until: 0, online: false }
    await chat.open(this.peer).catch(() => {})
    this.setData({ opening: false })
    this.render()
  },
  onHide() {
    chat.leave()
  },
  onUnload() {
    this.gone = true
    this.stops.forEach((stop) => stop())
    chat.leave()
  },
  onShareAppMessage() {
    return invitation(chat.openid)
  },

  render() {
    if (this.gone) return
    const messages = chat.messages(this.peer)
    const { shown, before, detached, fresh } = this.window.of(messages)
    const peer = faceOf(chat.user(this.peer))
    const typing = chat.conversations().some((each) => each.peer === this.peer && each.typing)
    const title = typing ? words.room.typing : peer.name
    if (title !== this.data.title) wx.setNavigationBarTitle({ title })
    this.setData({
      ...patchList('rows', this.data.rows, roomRows(shown, before, Date.now(), this.newFrom(messages))),
      ...changes(this.data, { me: faceOf(chat.me()), peer, title, detached, fresh, follow: this.window.follow }),
    })
  },
  /** Where the unread begin. What comes once everything is here, the user sees come. */
  newFrom(messages) {
    const { entered } = this
    if (!entered.online) entered.until = messages.reduce((last, { seq }) => Math.max(last, seq), 0)
    entered.online = entered.online || chat.state === 'online'
    const first = messages.find(({ mine, recalled, seq }) => !mine && !recalled && seq > entered.read)
    // Of a chat that was never read, all is new.
    return entered.read && first && first.seq <= entered.until ? first.seq : 0
  },

  onAct() {
    chat.start()
  },
  onSend({ detail }) {
    if (detail.tapped) notices.ask()
    try {
      chat.send(this.peer, detail.text)
    } catch (error) {
      say(error)
      this.setData({ draft: detail.text })
      return
    }
    this.onLatest()
  },
  onTyping() {
    chat.typing(this.peer)
  },
  onRetry({ detail }) {
    chat.retry(this.peer, detail.id)
  },
  onDiscard({ detail }) {
    chat.discard(this.peer, detail.id)
  },
  onRecall({ detail }) {
    chat.recall(this.peer, detail.seq).catch(say)
  },

  async onOlder() {
    if (this.data.loading) return
    if (!this.window.older(chat.messages(this.peer))) {
      if (chat.state !== 'online' || !chat.hasOlder(this.peer)) return
      this.setData({ loading: true })
      await chat.loadOlder(this.peer).catch(say)
      this.setData({ loading: false })
      this.window.older(chat.messages(this.peer))
    }
    this.render()
  },
  onNewer() {
    this.window.newer(chat.messages(this.peer))
    this.render()
  },
  onFollow({ detail }) {
    this.window.setFollow(chat.messages(this.peer), detail.on)
    this.render()
  },
  onLatest() {
    this.window.toEnd()
    this.render()
  },
})

const say = (error) => wx.showToast({ title: errorText(error), icon: 'none' })
