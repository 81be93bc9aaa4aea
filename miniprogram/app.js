const { createClient } = require('./sdk/hongyan')
const config = require('./config')

App({
  onLaunch() {
    // One client for all pages. It is there before it is connected: pages show what this device has, then what comes.
    const chat = createClient(config)
    this.globalData = { chat }
    chat.start()
  },
  globalData: /** @type {{ chat?: import('./sdk/hongyan').Client }} */ ({}),
})
