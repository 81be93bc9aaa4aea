// The smallest `setData` that makes what is on the screen what it should be.

/**
 * `patchList('rows', shown, wanted)`: by path where rows were changed in place or added at the end, else the whole list. Rows are told apart
 * by `key`.
 */
function patchList(path, shown, wanted) {
  const data = {}
  const inPlace = shown.length <= wanted.length && shown.every((row, index) => row.key === wanted[index].key)
  if (!inPlace) {
    data[path] = wanted
    return data
  }
  wanted.forEach((row, index) => {
    const at = `${path}[${index}]`
    if (index >= shown.length) data[at] = row
    else for (const name of Object.keys(changes(shown[index], row))) data[`${at}.${name}`] = row[name]
  })
  return data
}

/** Those fields of `wanted` that are other in `shown`. */
function changes(shown, wanted) {
  const data = {}
  for (const name of Object.keys(wanted)) if (!same(shown[name], wanted[name])) data[name] = wanted[name]
  return data
}

const same = (one, other) => one === other || (typeof one === 'object' && JSON.stringify(one) === JSON.stringify(other))

module.exports = { patchList, changes }
