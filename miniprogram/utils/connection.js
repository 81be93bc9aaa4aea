// What a page says about the connection: nothing while all is well, nor in the first moment of a trouble.
const words = require('../i18n/index')
const { errorText } = require('./messages')

const PATIENCE_MS = 1500
const QUIET = { text: '', action: '', busy: false }

/**
 * Calls `show` with the bar's text, what tapping it does, and whether the client is at work; gives what stops that.
 * @param {import('../sdk/hongyan').Client} chat
 * @param {(notice: typeof QUIET) => void} show
 */
function followConnection(chat, show) {
  let shown = QUIET
  let timer = 0
  const put = (notice) => {
    clearTimeout(timer)
    timer = 0
    shown = notice
    show(notice)
  }
  const update = () => {
    if (chat.state === 'online') put(QUIET)
    else if (chat.state === 'stopped') put({ text: words.notice.signedOut, action: words.notice.signIn, busy: false })
    else if (chat.state === 'refused') put({ text: reason(chat), action: wayBack(chat.error), busy: false })
    else if (shown === QUIET) timer = timer || setTimeout(() => put({ text: reason(chat), action: '', busy: true }), PATIENCE_MS)
    // While it tries again the last reason stays.
    else put({ text: reason(chat) || shown.text, action: '', busy: true })
  }
  const stop = chat.on('state', update)
  update()
  return () => {
    clearTimeout(timer)
    stop()
  }
}

const reason = (/** @type {import('../sdk/hongyan').Client} */ { error }) => (error ? errorText(error) : '')

function wayBack(error) {
  if (error && (error.word === 'banned' || error.word === 'blocked_by_wechat')) return ''
  return error && error.word === 'replaced' ? words.notice.here : words.notice.connect
}

/** The wheel beside the title; a page that is not shown any more has none. */
function showLoading(busy) {
  if (busy) wx.showNavigationBarLoading({ fail() {} })
  else wx.hideNavigationBarLoading({ fail() {} })
}

module.exports = { followConnection, showLoading, QUIET }
