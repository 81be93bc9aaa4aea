// The stack of pages, the tabs, and when a page is loaded, shown, hidden and unloaded.
import * as glass from 'glass-easel'
import { codeSpace, createRoot } from './space.js'
import { screen, showChrome } from './chrome.js'
import { element } from './tools.js'

const MOST_PAGES = 10
let settings
let stack = []
/** Pages of tabs stay loaded, by their path. */
const tabs = new Map()

export const usePages = (given) => { settings = given }
export const topPage = () => stack[stack.length - 1]
export const pageStack = () => stack.map((page) => page.instance)
const isTab = (path) => (settings.app.tabBar?.list || []).some((item) => item.pagePath === path)

const call = (page, name, ...details) => {
  const method = page.instance[name]
  return typeof method === 'function' ? glass.safeCallback(`Page ${name}`, method, page.instance, details) : undefined
}
export const callTop = (name, ...details) => call(topPage(), name, ...details)

/** `put` says where it stands in the stack; it does before it is loaded. */
function load(url, put) {
  const [path, search = ''] = url.replace(/^\//, '').split('?')
  if (!settings.app.pages.includes(path)) throw new Error(`page "${path}" is not found`)
  // Values are not decoded, as in WeChat.
  const query = Object.fromEntries(search.split('&').filter(Boolean).map((pair) => pair.split('=')))
  const node = element('div', 'wx-page')
  node.dataset.path = path
  node.append(element('style', '', settings.pageStyles[path] || ''))
  const place = element('span')
  node.append(place)
  screen.append(node)
  const root = createRoot(path)
  const page = { path, node, root, instance: root.get(), config: codeSpace.getComponentStaticConfig(path), loading: false }
  Object.assign(page.instance, { route: path, options: query })
  put(page)
  call(page, 'onLoad', query)
  root.attach(node, place)
  requestAnimationFrame(() => { if (!page.gone) call(page, 'onReady') })
}

function unload(page) {
  call(page, 'onUnload')
  page.gone = true
  page.root.release()
  page.node.remove()
}

function leave(page) {
  if (!page) return
  page.root.getComponent().triggerPageLifetime('hide', [])
  call(page, 'onHide')
  page.node.hidden = true
}

function enter(page) {
  page.node.hidden = false
  page.root.getComponent().triggerPageLifetime('show', [])
  call(page, 'onShow')
  refreshChrome()
}

export const hideTop = () => { if (topPage()) leave(topPage()) }
export const showTop = () => enter(topPage())
export function resizeTop() {
  const size = { size: { windowWidth: innerWidth, windowHeight: screen.clientHeight } }
  topPage()?.root.getComponent().triggerPageLifetime('resize', [size])
  if (topPage()) call(topPage(), 'onResize', size)
}
export const refreshChrome = () => showChrome(topPage(), stack.length)

export function navigateTo(url) {
  if (isTab(url.replace(/^\//, '').split('?')[0])) throw new Error('can not navigateTo a tabbar page')
  if (stack.length >= MOST_PAGES) throw new Error('webview count limit exceed')
  leave(topPage())
  load(url, (page) => stack.push(page))
  enter(topPage())
}

export function switchTab(path) {
  if (!isTab(path)) throw new Error('can not switch to no-tabBar page')
  if (topPage()?.path === path) return
  const [bottom, ...above] = stack
  for (const page of above.reverse()) unload(page)
  if (bottom && isTab(bottom.path)) leave(bottom)
  else if (bottom) unload(bottom)
  if (tabs.has(path)) stack = [tabs.get(path)]
  else load(path, (page) => { stack = [page]; tabs.set(path, page) })
  enter(topPage())
}

/** The first page of all. */
export function goHome() {
  const [first] = settings.app.pages
  if (isTab(first)) switchTab(first)
  else reLaunch(first)
}

export function reLaunch(url) {
  for (const page of new Set([...stack, ...tabs.values()])) unload(page)
  tabs.clear()
  load(url, (page) => {
    stack = [page]
    if (isTab(page.path)) tabs.set(page.path, page)
  })
  enter(topPage())
}

export function navigateBack(pages = 1) {
  const closed = Math.min(pages, stack.length - 1)
  for (let count = 0; count < closed; count += 1) unload(stack.pop())
  if (closed) enter(topPage())
}
