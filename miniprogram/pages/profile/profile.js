const words = require('../../i18n/index')
const { followConnection, QUIET } = require('../../utils/connection')
const { invitation, askForPeer, developing } = require('../../utils/invite')
const { errorText } = require('../../utils/messages')
const { DEFAULT_HOURS, noticesOf } = require('../../utils/notices')
const { readAvatar } = require('../../utils/picture')
const { faceOf } = require('../../utils/people')
const { changes } = require('../../utils/patch')
const { showTabs } = require('../../utils/tabs')

/** @type {import('../../sdk/hongyan').Client} */
const chat = getApp().chat
/** @type {import('../../sdk/notices').Notices} */
const notices = getApp().notices

Page({
  data: {
    t: words.profile,
    start: words.list.start,
    me: faceOf({ openid: '', nickname: '', avatar: '' }),
    nickname: '',
    notices: noticesOf(notices.state()),
    notice: QUIET,
    developing: developing(),
  },
  /** @type {Array<() => void>} */
  stops: [],
  typed: '',

  onLoad() {
    const render = () => this.render()
    this.stops = [
      chat.on('users', render),
      chat.on('state', render),
      notices.on('change', render),
      followConnection(chat, (notice) => this.setData({ notice })),
    ]
  },
  onShow() {
    showTabs(words.profile.title)
    this.render()
    // She may have been in WeChat's settings.
    notices.refresh().catch(() => {})
  },
  onUnload() {
    this.stops.forEach((stop) => stop())
  },
  onShareAppMessage() {
    return invitation(chat.openid)
  },

  render() {
    const user = chat.me()
    this.setData(changes(this.data, { me: faceOf(user), nickname: user.nickname, notices: noticesOf(notices.state()) }))
  },

  onAct() {
    chat.start()
  },
  async onAvatar({ detail }) {
    try {
      await this.save({ avatar: await readAvatar(detail.avatarUrl) })
    } catch (error) {
      wx.showToast({ title: words.profile.avatarTooLarge, icon: 'none' })
    }
  },
  // A name that WeChat offers comes with the blur and not with an input; and WeChat looks at what was typed before it is to be used.
  onNickname({ detail }) {
    this.typed = detail.value.trim()
  },
  onReviewed({ detail }) {
    if (detail.pass && this.typed !== this.data.nickname) this.save({ nickname: this.typed })
  },
  async save(profile) {
    try {
      await chat.setProfile(profile)
      wx.showToast({ title: words.profile.saved, icon: 'none' })
    } catch (error) {
      wx.showToast({ title: errorText(error), icon: 'none' })
    }
    this.render()
  },

  async onNotices() {
    if (notices.state().choice !== 'never') await notices.ask({ isWanted: true })
    else wx.openSetting({ withSubscriptions: true, success: () => notices.refresh().catch(() => {}), fail() {} })
  },
  onQuiet({ detail }) {
    this.setHours(detail.value ? DEFAULT_HOURS : { from: '00:00', to: '00:00' })
  },
  onHours({ detail, currentTarget }) {
    const { from, to } = this.data.notices
    this.setHours({ from, to, [currentTarget.dataset.end]: detail.value })
  },
  setHours(hours) {
    notices.setQuiet(hours).catch((error) => {
      wx.showToast({ title: errorText(error), icon: 'none' })
      // The switch goes back.
      this.setData({ notices: noticesOf(notices.state()) })
    })
  },

  onCopy() {
    wx.setClipboardData({ data: chat.openid })
  },
  onStart() {
    askForPeer((peer) => wx.navigateTo({ url: `/pages/chat/chat?peer=${peer}` }))
  },
  onSignOut() {
    wx.showModal({
      title: words.profile.signOut,
      content: words.profile.signOutHint,
      success: ({ confirm }) => {
        if (confirm) chat.signOut().catch((error) => wx.showToast({ title: errorText(error), icon: 'none' }))
      },
    })
  },
})
