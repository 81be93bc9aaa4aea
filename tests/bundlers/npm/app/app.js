const installed = require('hongyan-sdk')
const { createNotices } = require('hongyan-sdk/notices')

// The test hears of them by its double of the platform.
wx.hongyan({
  createClient: installed.createClient, copiedClient: installed.createClient, installed, copied: installed.default, createNotices, adapter: installed.createAdapter(wx),
})
