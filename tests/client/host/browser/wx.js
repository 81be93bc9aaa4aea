// `wx`, as far as the pages use it. To ask for what is not here is an error, which fails a test.
import { api, emitter, theme } from './tools.js'
import { settings } from './settings.js'
import { network } from './wx-network.js'
import { storage } from './wx-storage.js'
import { dialogs } from './wx-dialogs.js'
import { keyboard } from './keyboard.js'
import { setTabBadge, setTabText } from './chrome.js'
import { callTop, navigateBack, navigateTo, redirectTo, reLaunch, refreshChrome, switchTab, topPage } from './pages.js'

export const appEvents = { appShow: emitter(), appHide: emitter(), networkStatusChange: emitter(), themeChange: emitter() }

let project
let entry
export const useApp = (given, launch) => { project = given; entry = launch }

const windowInfo = () => ({
  windowWidth: innerWidth,
  windowHeight: topPage()?.node.clientHeight ?? innerHeight,
  screenWidth: innerWidth,
  screenHeight: innerHeight,
  pixelRatio: devicePixelRatio,
  statusBarHeight: 0,
  safeArea: { left: 0, top: 0, right: innerWidth, bottom: innerHeight - settings.safeBottom, width: innerWidth, height: innerHeight - settings.safeBottom },
})
const barTitle = (change) => { Object.assign(topPage(), change); refreshChrome() }
const absolute = (url) => (url.startsWith('/') ? url : new URL(url, `http://host/${topPage().path}`).href.replace('http://host', ''))

const implemented = {
  ...network,
  ...storage,
  ...dialogs,
  login: api('login', (_, done) => done({ code: `dev:${settings.user}` })),

  getAppBaseInfo: () => ({ language: settings.language, theme: theme(), SDKVersion: '3.9.0', version: '8.0.50' }),
  getWindowInfo: windowInfo,
  getDeviceInfo: () => ({ platform: 'devtools', system: 'Linux', brand: 'devtools', model: 'browser' }),
  getAccountInfoSync: () => ({ miniProgram: { appId: 'touristappid', envVersion: 'develop', version: '' } }),
  getLaunchOptionsSync: () => entry,
  getEnterOptionsSync: () => entry,
  getNetworkType: api('getNetworkType', (_, done) => done({ networkType: navigator.onLine ? 'wifi' : 'none' })),
  canIUse: (name) => name.split('.')[0] in implemented,
  nextTick: (run) => queueMicrotask(run),

  onAppShow: appEvents.appShow.on,
  offAppShow: appEvents.appShow.off,
  onAppHide: appEvents.appHide.on,
  offAppHide: appEvents.appHide.off,
  onNetworkStatusChange: appEvents.networkStatusChange.on,
  offNetworkStatusChange: appEvents.networkStatusChange.off,
  onThemeChange: appEvents.themeChange.on,
  offThemeChange: appEvents.themeChange.off,
  onKeyboardHeightChange: keyboard.onChange,
  offKeyboardHeightChange: keyboard.offChange,
  hideKeyboard: api('hideKeyboard', (_, done) => { keyboard.hide(); done() }),

  navigateTo: api('navigateTo', ({ url }, done) => { navigateTo(absolute(url)); done() }),
  redirectTo: api('redirectTo', ({ url }, done) => { redirectTo(absolute(url)); done() }),
  reLaunch: api('reLaunch', ({ url }, done) => { reLaunch(absolute(url)); done() }),
  switchTab: api('switchTab', ({ url }, done) => { switchTab(absolute(url).slice(1)); done() }),
  navigateBack: api('navigateBack', ({ delta }, done) => { navigateBack(delta); done() }),

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
