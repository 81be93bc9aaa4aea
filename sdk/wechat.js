/** All that is asked of `wx`. */
import { noop } from './errors.js'

/** @type {(wx: any) => import('./hongyan').Adapter} */
export const createAdapter = wx => {
  const promised = (name, options) => new Promise((success, fail) => {
    const promise = wx[name]({ ...options, success, fail })
    // Taro gives one as well, and what it rejects with is told by `fail`.
    if (promise && promise.catch) promise.catch(noop)
  })
  let drop = noop
  return {
    login: async () => (await promised('login')).code,
    async request({ method, url, headers, body }) {
      const { statusCode, data } = await promised('request', { method, url, header: headers, data: body })
      return { status: statusCode, body: data }
    },

    connect({ url, token }, on) {
      const fail = e => on.close(1006, e.errMsg)
      let task, wait = 0
      const follow = given => {
        task = given
        task.onOpen(() => {
          wait = 1000
          on.open()
        })
        task.onMessage(({ data }) => on.message(data))
        // After a failed handshake nothing else comes. Where it was open, the close follows and has the code.
        task.onError(e => setTimeout(fail, wait, e))
        task.onClose(({ code, reason }) => on.close(code, reason))
      }
      drop = () => fail({})
      const given = wx.connectSocket({ url, header: { Authorization: `Bearer ${token}` }, protocols: ['hongyan.v1'], fail })
      // Taro and uni-app promise it.
      if (given && given.then) given.then(follow).catch(fail)
      else follow(given)
      return { send: data => task.send({ data, fail: noop }), close: (code, reason) => task && task.close({ code, reason, fail: noop }) }
    },

    storage: { get: key => wx.getStorageSync(key), set: (key, value) => wx.setStorageSync(key, value), remove: key => wx.removeStorageSync(key) },

    watch(on) {
      let hiddenAt
      const hide = () => {
        hiddenAt = Date.now()
        on.hide()
      }
      const show = () => {
        // Hidden for 5 s, the app is suspended and its sockets are gone, told or not.
        if (Date.now() - hiddenAt >= 5000) drop()
        on.show()
      }
      const events = { AppHide: hide, AppShow: show, NetworkStatusChange: ({ isConnected }) => (isConnected ? on.online() : on.offline()) }
      const each = how => {
        for (const name in events) if (wx[how + name]) wx[how + name](events[name])
      }
      each('on')
      return () => each('off')
    },
  }
}
