const words = require('../../i18n/index')
const { conversationRows } = require('../../components/conversation-list/rows')
const { patchList, changes } = require('../../utils/patch')
const { followConnection, QUIET } = require('../../utils/connection')
const { invitation, askForPeer, developing } = require('../../utils/invite')
const { errorText } = require('../../utils/messages')
const { showTabs } = require('../../utils/tabs')
const { soon } = require('../../utils/soon')

const ROWS = 50

/** @type {import('../../sdk/hongyan').Client} */
const chat = getApp().chat
/** @type {import('../../sdk/notices').Notices} */
const notices = getApp().notices

Page({
  data: {
    t: words.list,
    rows: [],
    notice: QUIET,
    online: false,
    refreshing: false,
    developing: developing(),
  },
  /** @type {Array<() => void>} */
  stops: [],
  visible: false,
  count: ROWS,
  wasInChat: false,

  onLoad() {
    const render = soon(() => this.render())
    this.stops = [
      chat.on('conversations', render),
      chat.on('users', render),
      chat.on('state', render),
      followConnection(chat, (notice) => {
        this.setData({ notice })
        if (this.visible) this.showBusy()
      }),
      render.cancel,
    ]
  },
  onShow() {
    this.visible = true
    showTabs(words.list.title)
    this.showBusy()
    this.render()
  },
  onHide() {
    this.visible = false
  },
  onUnload() {
    this.stops.forEach((stop) => stop())
  },
  onShareAppMessage() {
    return invitation(chat.openid)
  },

  render() {
    if (!this.visible) return
    this.setData({
      ...patchList('rows', this.data.rows, conversationRows(chat, this.count, Date.now())),
      ...changes(this.data, { online: chat.state === 'online' }),
    })
  },
  showBusy() {
    if (this.data.notice.busy) wx.showNavigationBarLoading()
    else wx.hideNavigationBarLoading()
  },

  onAct() {
    chat.start()
  },
  async onOpen({ detail }) {
    // Not at the first one: by the second the user knows what she would be told of.
    if (this.wasInChat) await notices.ask()
    this.openChat(detail.peer)
  },
  onStart() {
    askForPeer((peer) => this.openChat(peer))
  },
  openChat(peer) {
    this.wasInChat = true
    wx.navigateTo({ url: `/pages/chat/chat?peer=${peer}` })
  },
  async onRefresh() {
    this.setData({ refreshing: true })
    await chat.refresh().catch(say)
    this.setData({ refreshing: false })
  },
  onMore() {
    this.count = this.data.rows.length + ROWS
    this.render()
  },
  onMute({ detail }) {
    chat.setMuted(detail.peer, detail.muted).catch(say)
  },
  onRemove({ detail }) {
    chat.removeConversation(detail.peer).catch(say)
  },
})

const say = (error) => wx.showToast({ title: errorText(error), icon: 'none' })
