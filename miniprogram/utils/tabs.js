const words = require('../i18n/index')

/** What a page of a tab does when it is shown: app.json has no languages. */
function showTabs(title) {
  wx.setNavigationBarTitle({ title })
  wx.setTabBarItem({ index: 0, text: words.tabs.chats })
  wx.setTabBarItem({ index: 1, text: words.tabs.me })
  getApp().showUnread()
}

module.exports = { showTabs }
