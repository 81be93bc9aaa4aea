/** `fill('{count} new', { count: 3 })` */
function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name]))
}

/** The entry of a table, for a name that came from outside: `constructor` is none. */
function lookUp(table, name) {
  return Object.prototype.hasOwnProperty.call(table, name) ? table[name] : undefined
}

module.exports = { fill, lookUp }
