'use strict'
// WXML and WXS, compiled to what glass-easel renders.
const path = require('node:path')
const { TmplGroup } = require('glass-easel-template-compiler')
const { BUILT_IN } = require('./built-in')

const SYNTAX = new Set(['block', 'template', 'import', 'include', 'wxs', 'slot'])

/** The source of an object: each file's compiled template by its path. A warning of the compiler is an error here. */
function compileWxml({ read, components }) {
  const group = new TmplGroup()
  const templates = new Set()
  const scripts = new Set()

  // The compiler registers a module without its suffix and does not strip the suffix in `require`.
  const rewriteRequires = (file, source) =>
    source.replace(/require\(\s*['"]([^'"]+?)(?:\.wxs)?['"]\s*\)/g, (_, name) => {
      const target = name.startsWith('/') ? name.slice(1) : path.posix.join(path.posix.dirname(file), name)
      addScript(target)
      return `require('/${target}')`
    })

  function addScript(file) {
    if (scripts.has(file)) return
    scripts.add(file)
    group.addScript(file, rewriteRequires(file, read(file + '.wxs')))
  }

  function addTemplate(file) {
    if (templates.has(file)) return
    templates.add(file)
    for (const warning of group.addTmpl(file, read(file + '.wxml')) || []) {
      throw new Error(`${file}.wxml:${warning.startLine + 1}:${warning.startColumn + 1} ${warning.message}`)
    }
    for (const name of group.getInlineScriptModuleNames(file)) {
      group.setInlineScript(file, name, rewriteRequires(file, group.getInlineScript(file, name)))
    }
    group.getDirectDependencies(file).forEach(addTemplate)
    group.getScriptDependencies(file).forEach(addScript)
  }

  for (const [file, { config }] of components) {
    for (const [, tag] of read(file + '.wxml').matchAll(/<([a-z][\w-]*)/g)) {
      if (!BUILT_IN.has(tag) && !SYNTAX.has(tag) && !config.usingComponents[tag]) throw new Error(`${file}.wxml: this host has no <${tag}>`)
    }
    addTemplate(file)
  }
  return group.getTmplGenObjectGroups()
}

module.exports = { compileWxml }
