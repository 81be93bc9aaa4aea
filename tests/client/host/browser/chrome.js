// What WeChat draws around a page: title bar, capsule, tab bar.
import { element, onTheme, pressable, theme } from './tools.js'

export const screen = element('main', 'wx-screen')
const title = element('h1', 'wx-title')
const spinner = element('i', 'wx-title-spinner')
const back = element('button', 'wx-back')
const home = element('button', 'wx-home')
const titleBar = element('header', 'wx-nav')
const tabBar = element('nav', 'wx-tabs')
const capsule = element('div', 'wx-capsule')

let app
let colours
let current

export function drawChrome(settings, { onBack, onHome, onTab }) {
  app = settings.app
  colours = settings.theme
  back.type = 'button'
  back.setAttribute('aria-label', 'back')
  back.addEventListener('click', onBack)
  home.type = 'button'
  home.setAttribute('aria-label', 'home')
  home.addEventListener('click', onHome)
  capsule.setAttribute('aria-hidden', 'true')
  titleBar.append(back, home, spinner, title, capsule)
  for (const item of app.tabBar?.list || []) tabBar.append(tab(item, onTab))
  document.body.append(titleBar, screen, tabBar)
  onTheme(paint)
}

function tab(item, onTab) {
  const made = pressable('wx-tab', '', () => onTab(item.pagePath))
  made.append(element('img'), element('b', 'wx-tab-badge'), element('span', '', item.text))
  made.firstChild.alt = ''
  return made
}

/** `page`: its path, its JSON, and the title that it set. */
export function showChrome(page, depth) {
  current = page
  spinner.hidden = !page.loading
  back.hidden = depth < 2
  // Where there is nothing to go back to.
  home.hidden = depth > 1 || page.path === app.pages[0] || isTab(page.path)
  paint()
}

const isTab = (path) => (app.tabBar?.list || []).some((item) => item.pagePath === path)
const colour = (value) => (value?.startsWith('@') ? colours[theme()][value.slice(1)] : value)

function paint() {
  const look = { ...app.window, ...current.config }
  titleBar.style.background = colour(look.navigationBarBackgroundColor)
  titleBar.dataset.text = colour(look.navigationBarTextStyle)
  title.textContent = document.title = current.title ?? look.navigationBarTitleText ?? ''
  document.body.style.background = colour(look.backgroundColor)
  const tabs = app.tabBar?.list || []
  tabBar.hidden = !isTab(current.path)
  if (tabBar.hidden) return
  tabBar.style.background = colour(app.tabBar.backgroundColor)
  tabBar.dataset.border = colour(app.tabBar.borderStyle)
  tabs.forEach((item, index) => {
    const node = tabBar.children[index]
    const selected = item.pagePath === current.path
    node.style.color = colour(selected ? app.tabBar.selectedColor : app.tabBar.color)
    node.setAttribute('aria-current', selected ? 'page' : 'false')
    node.firstChild.src = selected ? item.selectedIconPath : item.iconPath
  })
}

export function setTabText(index, text) { tabBar.children[index].lastChild.textContent = text }
export function setTabBadge(index, text) { tabBar.children[index].querySelector('b').textContent = text }
