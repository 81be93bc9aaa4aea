const words = require('../../i18n/index')
const { followConnection, QUIET } = require('../../utils/connection')
const { invitation, askForPeer, developing } = require('../../utils/invite')
const { confirm, copy, go, say, sayFailure, toast } = require('../../utils/ask')
const { DEFAULT_HOURS, noticesOf } = require('../../utils/notices')
const { readAvatar, TOO_LARGE } = require('../../utils/picture')
const { faceOf } = require('../../utils/people')
const { changes } = require('../../utils/table')
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
    // They may have been in WeChat's settings.
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
      toast(error === TOO_LARGE ? words.profile.avatarTooLarge : words.profile.avatarUnreadable)
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
      toast(words.profile.saved)
    } catch (error) {
      say(error)
    }
    this.render()
  },

  async onNotices() {
    if (notices.state().choice === 'never') {
      wx.openSetting({
        withSubscriptions: true,
        success: () => notices.refresh().catch(say),
        fail: (failure) => sayFailure(failure, words.failures.settings),
      })
      return
    }
    await notices.ask({ isWanted: true })
    // WeChat's own words where it showed no prompt.
    const { error: errMsg } = notices.state()
    if (errMsg) sayFailure({ errMsg }, words.failures.notices)
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
      say(error)
      // The switch goes back.
      this.setData({ notices: noticesOf(notices.state()) })
    })
  },

  onCopy() {
    copy(chat.openid)
  },
  onBlocked() {
    go('/pages/blocked/blocked')
  },
  onStart() {
    askForPeer((peer) => go(`/pages/chat/chat?peer=${peer}`))
  },
  onSignOut() {
    const { signOut, signOutHint: content, signOutYes: yes } = words.profile
    confirm({ title: signOut, content, yes, grave: true }, () => chat.signOut().catch(say))
  },
})
