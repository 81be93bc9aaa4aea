// Calls of WeChat's that answer to a tap. What fails says so: nothing is worse than a button that does nothing.
const words = require('../i18n/index')
const { errorText } = require('./messages')

// WeChat's numbers of what its privacy guide (用户隐私保护指引) stops.
const NOT_DECLARED = 112
const NOT_AGREED = 104

// A toast of WeChat's has two lines and cuts off what is more; a Chinese character is as wide as two others.
const TOAST_WIDTH = 56
const widthOf = (text) => Array.from(text).reduce((sum, character) => sum + (character > '\u2e80' ? 2 : 1), 0)

/** @param {string} text */
function toast(text) {
  const width = widthOf(text)
  // It stays for as long as it takes to read.
  if (width <= TOAST_WIDTH) wx.showToast({ title: text, icon: 'none', duration: width > 40 ? 3500 : 1500 })
  else wx.showModal({ content: text, showCancel: false, confirmText: words.ok, fail() {} })
}

/** Says what went wrong: an error of the SDK's. */
const say = (error) => toast(errorText(error))
/** The same of a pin: what is too large is the list of those. */
const sayPin = (error) => (error.word === 'too_large' ? toast(words.failures.pins) : say(error))

/**
 * A failure of WeChat's, as `fail` gets it.
 * @param {any} failure
 * @param {string} general
 */
function sayFailure({ errno, errMsg = '' }, general) {
  if (errno === NOT_DECLARED || /privacy agreement|scope is not declared/.test(errMsg)) toast(words.failures.notDeclared)
  else if (errno === NOT_AGREED || /privacy permission/.test(errMsg)) toast(words.failures.notAgreed)
  else toast(`${general}${errMsg ? `: ${errMsg.replace(/^\w+:fail:?\s*/, '')}` : ''}`)
}

/**
 * Copies; WeChat says itself that it did, unless `copied` does.
 * @param {string} text
 * @param {string} [copied]
 */
function copy(text, copied) {
  wx.setClipboardData({
    data: text,
    success: () => { if (copied) toast(copied) },
    fail: (failure) => sayFailure(failure, words.failures.copy),
  })
}

/** Asks before something that cannot be undone, or should not happen by chance: `yes` has at most 8 letters, or 4 of Chinese. */
function confirm({ title, content = '', yes, grave = false }, run) {
  wx.showModal({
    title,
    content,
    confirmText: yes,
    cancelText: words.cancel,
    confirmColor: grave ? '#fa5151' : '#576b95',
    success: (answer) => { if (answer.confirm) run() },
    fail: (failure) => sayFailure(failure, words.failures.open),
  })
}

/** @param {string} url */
function go(url) {
  wx.navigateTo({ url, fail: (failure) => sayFailure(failure, words.failures.open) })
}

/** A list to choose from: each `{ text, run }`. */
function choose(items) {
  wx.showActionSheet({
    itemList: items.map(({ text }) => text),
    success: ({ tapIndex }) => items[tapIndex].run(),
    fail: (failure) => { if (!/cancel/.test(failure.errMsg)) sayFailure(failure, words.failures.open) },
  })
}

module.exports = { choose, confirm, copy, go, say, sayFailure, sayPin, toast }
