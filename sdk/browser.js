/** All that is asked of a browser. */
import { noop } from './errors.js'
import { demand } from './grammar.js'

/** @type {import('./hongyan').createBrowserAdapter} */
export const createBrowserAdapter = () => {
  return {
    // There is no WeChat to ask: createClient needs a `signIn`.
    login: async () => /** @type {any} */ (demand(false, 'signIn')),
    async request({ method, url, headers, body }) {
      const answer = await fetch(url, { method, headers, body: body && JSON.stringify(body) })
      // Some answers are empty, and a proxy's are no JSON.
      return { status: answer.status, body: await answer.json().catch(noop) }
    },

    connect({ url, token }, on) {
      // A browser cannot set headers, and a token does not belong into a URL.
      const socket = new WebSocket(url, ['hongyan.v1', `bearer.${token}`])
      socket.onopen = on.open
      socket.onmessage = ({ data }) => on.message(data)
      socket.onclose = ({ code, reason }) => on.close(code, reason)
      return socket
    },

    storage: { get: key => localStorage[key], set: (key, value) => (localStorage[key] = value), remove: key => delete localStorage[key] },

    watch(on) {
      const look = () => (document.hidden ? on.hide() : on.show())
      const events = { visibilitychange: look, pagehide: on.hide, online: on.online, offline: on.offline }
      const page = /** @type {any} */ (window)
      // From one network to another there is no event of the window's. This one is told of changes in speed too.
      const network = (page.navigator || {}).connection
      let type = network && network.type
      const change = () => {
        if (type !== network.type) on.online()
        type = network.type
      }
      // What happens to the document comes by the window.
      const each = how => {
        for (const name in events) page[how](name, events[name], true)
        if (network) network[how]('change', change)
      }
      each('addEventListener')
      look()
      return () => each('removeEventListener')
    },
  }
}
