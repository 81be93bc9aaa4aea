'use strict'
// WXSS as the CSS of a browser: units, tags, and the classes of a component that only it sees.
const path = require('node:path')
const postcss = require('postcss')
const parseSelector = require('postcss-selector-parser')
const { BUILT_IN } = require('./built-in')


/** A component's own name before its classes: `chat-room--row`. A page shares its classes with app.wxss, as in WeChat. */
const scopeOf = (file, { isPage }) => (isPage ? '' : path.posix.basename(file))

function compileWxss(project, file, scope) {
  const inlined = (name, from) => {
    const root = postcss.parse(project.read(name), { from: name })
    root.walkAtRules('import', (rule) => {
      const target = rule.params.replace(/^['"]|['"]$/g, '')
      const imported = target.startsWith('/') ? target.slice(1) : path.posix.join(path.posix.dirname(name), target)
      if (from.includes(imported)) throw new Error(`${name} imports ${imported} in a circle`)
      rule.replaceWith(inlined(imported, [...from, imported]))
    })
    return root
  }
  const root = inlined(file, [file])
  root.walkDecls((declaration) => {
    declaration.value = declaration.value
      .replace(/(-?\d*\.?\d+)rpx\b/g, 'calc(var(--rpx) * $1)')
      // A page's height is what the title bar and the tab bar leave.
      .replace(/(-?\d*\.?\d+)vh\b/g, 'calc(var(--vh) * $1)')
      // A browser's window has no notch; the runner gives one to look at.
      .replace(/env\(safe-area-inset-bottom\)/g, 'var(--safe-bottom)')
  })
  root.walkRules((rule) => {
    if (rule.parent.type === 'atrule' && /keyframes$/.test(rule.parent.name)) return
    rule.selector = parseSelector((selectors) => {
      selectors.walkTags((tag) => {
        if (tag.value === 'page') tag.replaceWith(parseSelector.className({ value: 'wx-page' }))
        else if (BUILT_IN.has(tag.value)) tag.value = 'wx-' + tag.value
      })
      if (!scope) return
      selectors.walkClasses((name) => { name.value = `${scope}--${name.value}` })
      selectors.walkPseudos((pseudo) => {
        if (pseudo.value === ':host') {
          pseudo.replaceWith(parseSelector.attribute({ attribute: 'wx-host', operator: '=', value: scope, quoteMark: '"', raws: {} }))
        }
      })
    }).processSync(rule.selector)
  })
  return root.toString()
}

/** `shared`: app.wxss and all components. `pages`: of each page, there only while the page is. */
function compileStyles(project) {
  const shared = project.has('app.wxss') ? [compileWxss(project, 'app.wxss', '')] : []
  const pages = {}
  for (const [file, component] of project.components) {
    if (!project.has(file + '.wxss')) continue
    const css = compileWxss(project, file + '.wxss', scopeOf(file, component))
    if (component.isPage) pages[file] = css
    else shared.push(css)
  }
  return { shared: shared.join('\n'), pages }
}

module.exports = { compileStyles, scopeOf }
