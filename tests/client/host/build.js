'use strict'
// A mini-program's folder, built into one that a browser runs.
const fs = require('node:fs')
const path = require('node:path')
const esbuild = require('esbuild')
const { readProject } = require('./project')
const { compiledByWechat } = require('./wcc')
const { compileWxml } = require('./wxml')
const { compileStyles, scopeOf } = require('./wxss')

const BROWSER = path.join(__dirname, 'browser')
const ASSETS = /\.(png|jpe?g|svg|webp)$/

/** `replace`: what stands in for a file of the mini-program, such as its settings. */
async function build(source, out, { replace = {} } = {}) {
  const project = readProject(path.resolve(source))
  const styles = compileStyles(project)
  fs.rmSync(out, { recursive: true, force: true })
  fs.mkdirSync(out, { recursive: true })
  await esbuild.build({
    stdin: { contents: entry(project, styles.pages), resolveDir: BROWSER, sourcefile: 'entry.js' },
    bundle: true,
    format: 'iife',
    target: 'es2020',
    sourcemap: 'inline',
    outfile: path.join(out, 'app.js'),
    nodePaths: [path.join(__dirname, '..', 'node_modules')],
    define: { 'process.env.NODE_ENV': '"development"' },
    plugins: [fromRoot(project.root), replaced(project.root, replace)],
    logLevel: 'warning',
  })
  fs.writeFileSync(path.join(out, 'app.css'), styles.shared)
  fs.writeFileSync(path.join(out, 'wechat.js'), compiledByWechat(project.root) || '')
  fs.copyFileSync(path.join(BROWSER, 'host.css'), path.join(out, 'host.css'))
  fs.copyFileSync(path.join(BROWSER, 'index.html'), path.join(out, 'index.html'))
  for (const file of fs.readdirSync(project.root, { recursive: true })) {
    if (!ASSETS.test(file)) continue
    fs.mkdirSync(path.dirname(path.join(out, file)), { recursive: true })
    fs.copyFileSync(path.join(project.root, file), path.join(out, file))
  }
}

function entry(project, pageStyles) {
  const text = JSON.stringify
  const script = (file) => text(path.join(project.root, file + '.js'))
  const settings = { app: project.app, theme: project.theme, pageStyles }
  // A component is defined before who uses it.
  const definitions = [...project.components].reverse().map(([file, component]) => `
    codeSpace.addComponentStaticConfig(${text(file)}, ${text(component.config)})
    codeSpace.addCompiledTemplate(${text(file)}, { groupList: templates, content: templates[${text(file)}] })
    codeSpace.addStyleSheet(${text(file)}, undefined, ${scopeOf(file, component) ? text(scopeOf(file, component)) : 'undefined'})
    define(${text(file)}, () => { require(${script(file)}) })`)
  return `
    import { codeSpace, define, start } from './main.js'
    const templates = ${compileWxml(project)}
    start(${text(settings)}, () => {
      require(${script('app')})
      ${definitions.join('')}
    })`
}

// `require('/utils/x')`: from the mini-program's root.
const fromRoot = (root) => ({
  name: 'from-root',
  setup(build) {
    build.onResolve({ filter: /^\// }, ({ path: file }) => (fs.existsSync(file) ? undefined : { path: path.join(root, file) }))
  },
})

const replaced = (root, files) => ({
  name: 'replaced',
  setup(build) {
    build.onLoad({ filter: /\.js$/ }, ({ path: file }) => {
      const contents = files[path.relative(root, file)]
      return contents === undefined ? undefined : { contents }
    })
  },
})

module.exports = { build }
