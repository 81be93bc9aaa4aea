'use strict'
// What a mini-program's folder holds: its pages, and the components that these reach.
const fs = require('node:fs')
const path = require('node:path')

function readProject(root) {
  const read = (file) => fs.readFileSync(path.join(root, file), 'utf8')
  const has = (file) => fs.existsSync(path.join(root, file))
  const json = (file) => JSON.parse(read(file))
  const app = json('app.json')

  // Of `using` in `from`, as a path from the root without a suffix: `components/avatar/avatar`.
  const resolve = (from, using) => {
    const file = using.startsWith('/') ? using.slice(1) : path.posix.join(path.posix.dirname(from), using)
    if (!has(file + '.json')) throw new Error(`${from}.json: the component "${using}" does not exist`)
    return file
  }

  const components = new Map()
  const visit = (file, isPage) => {
    if (components.has(file)) return
    const config = has(file + '.json') ? json(file + '.json') : {}
    if (!isPage && !config.component) throw new Error(`${file}.json does not say "component": true`)
    components.set(file, { config, isPage })
    const using = Object.entries({ ...app.usingComponents, ...config.usingComponents })
    config.usingComponents = Object.fromEntries(using.map(([tag, name]) => [tag, '/' + resolve(file, name)]))
    for (const name of Object.values(config.usingComponents)) visit(name.slice(1), false)
  }
  for (const page of app.pages) visit(page, true)

  return { root, read, has, app, components, theme: app.themeLocation ? json(app.themeLocation) : {} }
}

module.exports = { readProject }
