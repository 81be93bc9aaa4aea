const words = require('../i18n/index')

/** What a page of a tab does when it is shown: app.json has no languages. */
function showTabs(title) {
  // Words only: where WeChat does not take them, nothing is lost.
  const fail = () => {}
  wx.setNavigationBarTitle({ title, fail })
  wx.setTabBarItem({ index: 0, text: words.tabs.chats, fail })
  wx.setTabBarItem({ index: 1, text: words.tabs.me, fail })
  getApp().showUnread()
}

module.exports = { showTabs }
