// Starts a built mini-program in this window.
import './elements.js'
import './fields.js'
import './scroll-view.js'
import './choices.js'
import { watchLongPress } from './space.js'
import { drawChrome } from './chrome.js'
import { callTop, goHome, hideTop, navigateBack, pageStack, reLaunch, resizeTop, showTop, switchTab, usePages } from './pages.js'
import { appEvents, wx, useApp } from './wx.js'
import { keyboard } from './keyboard.js'
import { settings } from './settings.js'
import { dropSockets } from './wx-network.js'
export { codeSpace, define } from './space.js'

let app
globalThis.App = (definition) => { app = definition }
globalThis.getApp = () => app
globalThis.getCurrentPages = pageStack
globalThis.getDate = (...parts) => new Date(...parts)
globalThis.getRegExp = (...parts) => new RegExp(...parts)
globalThis.wx = wx

const RESIZE_TOLD_MS = 50
const entry = { path: '', query: {}, scene: 1001 }

export function start(project, load) {
  usePages(project)
  useApp(project)
  drawChrome(project, { onBack: () => navigateBack(), onHome: goHome, onTab: switchTab })
  document.documentElement.lang = settings.language.replace('_', '-')
  document.documentElement.style.setProperty('--safe-bottom', `${settings.safeBottom}px`)
  load()
  watchLongPress()
  addEventListener('online', () => appEvents.networkStatusChange.emit({ isConnected: true, networkType: 'wifi' }))
  addEventListener('offline', () => appEvents.networkStatusChange.emit({ isConnected: false, networkType: 'none' }))
  // A phone is unfolded, or a window drawn larger. The page hears of it when it has been laid out anew, and maybe scrolled by that.
  addEventListener('resize', () => { setTimeout(resizeTop, RESIZE_TOLD_MS) })
  const url = location.hash.slice(1) || project.app.pages[0]
  const [path, search = ''] = url.split('?')
  Object.assign(entry, { path, query: Object.fromEntries(new URLSearchParams(search)) })
  app.onLaunch?.(entry)
  app.onShow?.(entry)
  appEvents.appShow.emit(entry)
  reLaunch(url)
}

/** What a test can do to the phone. */
globalThis.host = {
  settings,
  keyboard: (height) => keyboard.want(height),
  hide() {
    hideTop()
    app.onHide?.()
    appEvents.appHide.emit()
  },
  /** Hidden for longer than 5 s: the sockets are gone when the app is shown again. */
  suspend() {
    this.hide()
    dropSockets()
  },
  show() {
    app.onShow?.(entry)
    appEvents.appShow.emit(entry)
    showTop()
  },
  share: () => callTop('onShareAppMessage', { from: 'menu' }),
}
