const words = require('../../i18n/index')
const { conversationRows } = require('../../components/conversation-list/rows')
const { changes, createTable } = require('../../utils/table')
const { followConnection, showLoading, QUIET } = require('../../utils/connection')
const { invitation, askForPeer, developing } = require('../../utils/invite')
const { go, say, sayPin } = require('../../utils/ask')
const { showTabs } = require('../../utils/tabs')
const { soon } = require('../../utils/soon')

const ROWS = 50
// Of more, the first ones go while the user scrolls down, and come back where they scroll up.
const MOST_ROWS = 300

/** @type {import('../../sdk/hongyan').Client & import('../../sdk/extras').PinCalls} */
const chat = getApp().chat
/** @type {import('../../sdk/notices').Notices} */
const notices = getApp().notices
/** @type {ReturnType<typeof import('../../utils/drafts').createDrafts>} */
const drafts = getApp().drafts

Page({
  data: {
    t: words.list,
    rows: {},
    order: [],
    notice: QUIET,
    online: false,
    refreshing: false,
    developing: developing(),
  },
  /** @type {Array<() => void>} */
  stops: [],
  visible: false,
  /** Which of the conversations are in the list. */
  first: 0,
  end: ROWS,
  wasInChat: false,
  table: createTable(),

  onLoad() {
    this.table = createTable()
    const render = soon(() => this.render())
    this.stops = [
      chat.on('conversations', render),
      chat.on('users', render),
      chat.on('state', render),
      drafts.on(render),
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
    this.table.show(this, conversationRows(chat, this.end, Date.now(), drafts.all(), this.first), changes(this.data, { online: chat.state === 'online' }))
  },
  showBusy() {
    showLoading(this.data.notice.busy)
  },

  onAct() {
    chat.start()
  },
  async onOpen({ detail }) {
    // Not at the first one: by the second the user knows what they would be told of.
    if (this.wasInChat) await notices.ask()
    this.openChat(detail.peer)
  },
  onSearch() {
    go('/pages/search/search')
  },
  onStart() {
    askForPeer((peer) => this.openChat(peer))
  },
  openChat(peer) {
    this.wasInChat = true
    go(`/pages/chat/chat?peer=${peer}`)
  },
  async onRefresh() {
    this.setData({ refreshing: true })
    await chat.refresh().catch(say)
    this.setData({ refreshing: false })
  },
  onMore() {
    this.end = this.first + this.data.order.length + ROWS
    this.first = Math.max(0, this.end - MOST_ROWS)
    this.render()
  },
  onBack() {
    if (!this.first) return
    this.first = Math.max(0, this.first - ROWS)
    this.end = this.first + MOST_ROWS
    this.render()
  },
  onPin({ detail }) {
    chat.setPinned(detail.peer, detail.pinned).catch(sayPin)
  },
  onMute({ detail }) {
    chat.setMuted(detail.peer, detail.muted).catch(say)
  },
  async onRemove({ detail }) {
    try {
      // Of a chat that has only a draft the server knows nothing.
      const conversation = chat.conversations().find(({ peer }) => peer === detail.peer)
      // What nobody sees would take one of the places for pinned chats.
      if (conversation && conversation.pinned) await chat.setPinned(detail.peer, false)
      if (conversation) await chat.removeConversation(detail.peer)
      drafts.set(detail.peer, '')
    } catch (error) {
      say(error)
    }
  },
})
