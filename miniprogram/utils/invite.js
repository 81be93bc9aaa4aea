const words = require('../i18n/index')
const { sayFailure, toast } = require('./ask')

/** What a friend gets: it opens a chat with who sent it. */
function invitation(openid) {
  return { title: words.share, path: `/pages/chat/chat?peer=${openid}` }
}

/** Whom there may be: what is no path of the server's. */
const isOpenid = (name) => /^(?!(healthz|readyz|metrics|v1|wechat|assets)$)[\w-]{1,64}$/.test(name)

/** Asks for an openid; gives it, or nothing. While developing there is nobody to invite. */
function askForPeer(open) {
  wx.showModal({
    title: words.list.start,
    placeholderText: words.list.startHint,
    editable: true,
    success({ confirm, content }) {
      if (!confirm) return
      const peer = (content || '').trim()
      if (isOpenid(peer)) open(peer)
      else toast(words.list.startWrong)
    },
    fail: (failure) => sayFailure(failure, words.failures.open),
  })
}

const developing = () => wx.getAccountInfoSync().miniProgram.envVersion !== 'release'

module.exports = { invitation, isOpenid, askForPeer, developing }
