// `wx`, as far as the pages use it. To ask for what is not here is an error, which fails a test.
import { api, emitter, theme } from './tools.js'
import { settings } from './settings.js'
import { network } from './wx-network.js'
import { storage } from './wx-storage.js'
import { dialogs } from './wx-dialogs.js'
import { subscribe } from './wx-subscribe.js'
import { keyboard } from './keyboard.js'
import { setTabBadge, setTabText } from './chrome.js'
import { navigateBack, navigateTo, reLaunch, refreshChrome, topPage } from './pages.js'

export const appEvents = { appShow: emitter(), appHide: emitter(), networkStatusChange: emitter() }

let project
export const useApp = (given) => { project = given }

const barTitle = (change) => { Object.assign(topPage(), change); refreshChrome() }

const implemented = {
  ...network,
  ...storage,
  ...dialogs,
  ...subscribe,
  login: api('login', (_, done) => done({ code: `dev:${settings.user}` })),

  getAppBaseInfo: () => ({ language: settings.language, theme: theme(), SDKVersion: '3.9.0', version: '8.0.50' }),
  getAccountInfoSync: () => ({ miniProgram: { appId: 'touristappid', envVersion: settings.envVersion, version: '' } }),
  onAppShow: appEvents.appShow.on,
  offAppShow: appEvents.appShow.off,
  onAppHide: appEvents.appHide.on,
  offAppHide: appEvents.appHide.off,
  onNetworkStatusChange: appEvents.networkStatusChange.on,
  offNetworkStatusChange: appEvents.networkStatusChange.off,
  hideKeyboard: api('hideKeyboard', (_, done) => { keyboard.hide(); done() }),

  navigateTo: api('navigateTo', ({ url }, done) => { navigateTo(url); done() }),
  navigateBack: api('navigateBack', ({ delta = 1 }, done) => { navigateBack(delta); done() }),
  // A page may ask for it while it is loaded.
  reLaunch: api('reLaunch', ({ url }, done) => { setTimeout(() => { reLaunch(url); done() }) }),
  setNavigationBarTitle: api('setNavigationBarTitle', ({ title }, done) => { barTitle({ title }); done() }),
  showNavigationBarLoading: api('showNavigationBarLoading', (_, done) => { barTitle({ loading: true }); done() }),
  hideNavigationBarLoading: api('hideNavigationBarLoading', (_, done) => { barTitle({ loading: false }); done() }),
  setTabBarItem: api('setTabBarItem', ({ index, text }, done) => { onTabPage(); setTabText(index, text); done() }),
  setTabBarBadge: api('setTabBarBadge', ({ index, text }, done) => { onTabPage(); setTabBadge(index, text); done() }),
  removeTabBarBadge: api('removeTabBarBadge', ({ index }, done) => { onTabPage(); setTabBadge(index, ''); done() }),
}

function onTabPage() {
  if (!(project.app.tabBar?.list || []).some((item) => item.pagePath === topPage()?.path)) throw new Error('not TabBar page')
}

export const wx = new Proxy(implemented, {
  get(target, name) {
    if (!(name in target) && typeof name === 'string') console.error(`wx.${name} is not implemented in this host`)
    return target[name]
  },
})
