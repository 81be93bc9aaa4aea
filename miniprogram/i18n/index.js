// The words of the user's language: Chinese where WeChat speaks Chinese, else English.
const chinese = wx.getAppBaseInfo().language.startsWith('zh')
module.exports = chinese ? require('./zh-CN') : require('./en')
