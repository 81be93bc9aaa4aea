const words = require('../../i18n/index')
const { createWindow } = require('../../components/chat-room/window')
const { roomRows } = require('../../components/chat-room/rows')
const { createUnread } = require('../../components/chat-room/unread')
const { changes, createTable } = require('../../utils/table')
const { copy, go, say, toast } = require('../../utils/ask')
const { followConnection, showLoading, QUIET } = require('../../utils/connection')
const { invitation } = require('../../utils/invite')
const { isOpenid } = require('../../sdk/hongyan')
const { textOf, textOfSeveral } = require('../../utils/messages')
const { faceOf, nameOf } = require('../../utils/people')
const { soon } = require('../../utils/soon')
const { seenAgo } = require('../../utils/time')

/** @type {import('../../sdk/hongyan').Client & import('../../sdk/extras').PresenceCalls} */
const chat = getApp().chat
/** @type {import('../../sdk/notices').Notices} */
const notices = getApp().notices
/** @type {ReturnType<typeof import('../../utils/drafts').createDrafts>} */
const drafts = getApp().drafts
/** @type {ReturnType<typeof import('../../utils/recalled').createRecalled>} */
const recalled = getApp().recalled

Page({
  data: {
    t: words.room,
    rows: {},
    order: [],
    me: faceOf({ openid: '', nickname: '', avatar: '' }),
    peer: faceOf({ openid: '', nickname: '', avatar: '' }),
    follow: true,
    detached: false,
    fresh: 0,
    unread: 0,
    seeking: false,
    reveal: '',
    loading: false,
    opening: true,
    hasFailed: false,
    draft: '',
    found: '',
    title: '',
    presence: '',
    state: 'unknown',
    notice: QUIET,
    covered: 0,
  },
  peer: '',
  gone: false,
  isShown: false,
  minutes: 0,
  unread: createUnread(),
  window: createWindow(),
  table: createTable(),
  /** @type {Array<() => void>} */
  stops: [],

  onLoad({ peer = '', key = '' }) {
    // A card that somebody shares may say anything.
    if (!isOpenid(peer)) {
      wx.reLaunch({ url: '/pages/conversations/conversations', fail() {} })
      return
    }
    this.peer = peer
    this.window = createWindow()
    this.table = createTable()
    this.unread = createUnread()
    const render = soon(() => this.render())
    this.stops = [
      chat.on('messages', (detail) => { if (detail.peer === this.peer) render() }),
      chat.on('conversations', render),
      chat.on('users', render),
      chat.on('presence', render),
      // Who has written for the first time may be seen from now on.
      chat.on('incoming', ({ message }) => {
        const isFirst = chat.messages(this.peer).filter(({ mine }) => !mine).length === 1
        if (message.peer === this.peer && isFirst) chat.watchPresence([this.peer])
      }),
      chat.on('state', () => { if (this.unread.isWaiting) this.enter() }),
      followConnection(chat, (notice) => {
        this.setData({ notice })
        showLoading(notice.busy)
      }),
      recalled.on(render),
      render.cancel,
    ]
    this.setData({ draft: drafts.get(peer) })
    if (key) this.showMessage(key)
    else this.render()
  },
  onShow() {
    if (!this.peer) return
    this.isShown = true
    chat.watchPresence([this.peer])
    // "Seen 10 min ago" grows older.
    this.minutes = setInterval(() => this.render(), 60000)
    this.enter()
  },
  onHide() {
    this.leave()
  },
  onUnload() {
    this.gone = true
    this.stops.forEach((stop) => stop())
    this.leave()
  },
  onShareAppMessage() {
    return invitation(chat.openid)
  },

  /** The user looks at the chat: what is there is read from now on, so what is unread is counted before. */
  async enter() {
    if (!this.isShown) return
    const conversation = chat.conversations().find(({ peer }) => peer === this.peer)
    this.unread.enter(conversation, chat.messages(this.peer), chat.state === 'online')
    try {
      await (this.unread.isWaiting ? chat.loadOlder(this.peer) : chat.open(this.peer))
      this.setData({ hasFailed: false })
    } catch (error) {
      // With the connection it comes by itself; and while there is none, the bar says so.
      this.setData({ hasFailed: chat.state === 'online' })
    }
    if (this.gone) return
    this.setData({ opening: false })
    this.render()
  },
  leave() {
    this.isShown = false
    clearInterval(this.minutes)
    chat.watchPresence([])
    this.unread.leave()
    if (this.data.seeking) this.setData({ seeking: false })
    chat.leave()
    drafts.save()
  },

  /** The one that a search has found. */
  showMessage(key) {
    const messages = chat.messages(this.peer)
    if (!messages.some((message) => message.key === key)) {
      toast(words.errors.not_found)
      return this.render()
    }
    this.window.toMessage(messages, key)
    this.render({ reveal: key, found: key })
  },
  render(more = {}) {
    if (this.gone) return
    const messages = chat.messages(this.peer)
    const { shown, before, detached, fresh } = this.window.of(messages)
    const peer = faceOf(chat.user(this.peer))
    const typing = chat.conversations().some((each) => each.peer === this.peer && each.typing)
    const title = typing ? words.room.typing : peer.name
    if (title !== this.data.title) wx.setNavigationBarTitle({ title, fail() {} })
    const { state, last_seen } = chat.presence(this.peer)
    const seen = { foreground: words.room.online, background: words.room.background }[state]
    const presence = seen || (last_seen ? seenAgo(last_seen, Date.now(), words.room) : '')
    const unread = this.unread.of(messages, chat.hasOlder(this.peer), chat.state === 'online')
    this.table.show(this, roomRows(shown, before, Date.now(), unread.from, recalled.wordsOf), {
      ...changes(this.data, { me: faceOf(chat.me()), peer, title, presence, state, detached, fresh, unread: unread.count, follow: this.window.follow }),
      ...more,
    })
  },

  onAct() {
    chat.start()
  },
  onNoticeHeight({ detail }) {
    if (!this.gone) this.setData(changes(this.data, { covered: detail.px }))
  },
  onReload() {
    this.setData({ opening: true, hasFailed: false })
    this.enter()
  },
  onSend({ detail }) {
    if (detail.tapped) notices.ask()
    if (this.data.draft) this.setData({ draft: '' })
    try {
      chat.send(this.peer, detail.text)
    } catch (error) {
      say(error)
      this.setData({ draft: detail.text })
      return
    }
    drafts.set(this.peer, '')
    this.onLatest()
  },
  onInput({ detail }) {
    if (detail.text) chat.typing(this.peer)
    drafts.set(this.peer, detail.text)
  },
  onRetry({ detail }) {
    chat.retry(this.peer, detail.id)
  },
  onDiscard({ detail }) {
    chat.discard(this.peer, detail.id)
  },
  onCancel({ detail }) {
    if (!chat.cancel(this.peer, detail.id)) toast(words.room.cancelTooLate)
  },
  onRecall({ detail }) {
    const message = chat.messages(this.peer).find(({ seq }) => seq === detail.seq)
    if (message) recalled.recall(message).catch(say)
  },
  onCopy({ detail }) {
    const message = chat.messages(this.peer).find(({ key }) => key === detail.key)
    if (message) copy(textOf(message))
  },
  onCopySeveral({ detail }) {
    const messages = chat.messages(this.peer).filter(({ key, recalled: isGone }) => !isGone && detail.keys.indexOf(key) >= 0)
    if (messages.length) copy(textOfSeveral(messages, ({ mine }) => nameOf(mine ? chat.me() : chat.user(this.peer))))
  },
  onSelect({ detail }) {
    go(`/pages/message/message?peer=${this.peer}&key=${detail.key}`)
  },
  onFace({ detail }) {
    // Before the first sign-in nobody knows who the user is.
    if (detail.openid) go(`/pages/person/person?openid=${detail.openid}`)
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
  onUnreadSeen() {
    this.unread.seen()
    this.render()
  },
  /** To the first unread message: history is loaded as far as it is needed. A second tap stops that. */
  async onUnread() {
    if (this.data.seeking) return this.setData({ seeking: false })
    this.setData({ seeking: true })
    try {
      while (this.data.seeking && !this.unread.isReached) {
        await chat.loadOlder(this.peer).catch(patiently)
        if (this.gone) return
        this.render()
      }
      if (!this.data.seeking) return
      const { key } = this.unread
      this.window.toMessage(chat.messages(this.peer), key)
      this.render({ reveal: key })
    } catch (error) {
      if (this.data.seeking) say(error)
    }
    this.setData({ seeking: false, reveal: '' })
  },
})

/** Where the server says that it is asked too often, it says until when. */
function patiently(error) {
  if (!error.retry_after_ms || error.retry_after_ms > 5000) throw error
  return new Promise((resolve) => setTimeout(resolve, error.retry_after_ms))
}
