const { createClient } = require('./sdk/hongyan')
const { extras } = require('./sdk/extras')
const { createNotices } = require('./sdk/notices')
const { url, devUser } = require('./config')
const { toast } = require('./utils/ask')
const { createDrafts } = require('./utils/drafts')
const { createRecalled } = require('./utils/recalled')
const { forgetEmoji } = require('./utils/recent-emoji')
const { developing } = require('./utils/invite')
const words = require('./i18n/index')

// A page of messages is longer than any screen.
const PAGE_SIZE = 40
const MOST_COUNTED = 99
const CHATS_TAB = 0

const signIn = devUser && developing() ? (api) => api.login(`dev:${devUser}`) : undefined
const chat = createClient({ url, signIn, pageSize: PAGE_SIZE, parts: [extras] })

App({
  chat,
  notices: createNotices(chat),
  drafts: createDrafts(chat, () => toast(words.failures.draft)),
  recalled: createRecalled(chat),

  onLaunch() {
    this.chat.on('unread', () => this.showUnread())
    this.chat.on('state', () => { if (!this.chat.openid) forgetEmoji() })
    this.chat.start()
  },

  onHide() {
    this.drafts.save()
  },

  /** WeChat takes a badge only while a page of a tab is shown; those ask for it again when they are. */
  showUnread() {
    const total = this.chat.unread()
    const options = { index: CHATS_TAB, fail() {} }
    if (total) wx.setTabBarBadge({ ...options, text: total > MOST_COUNTED ? `${MOST_COUNTED}+` : String(total) })
    else wx.removeTabBarBadge(options)
  },
})
