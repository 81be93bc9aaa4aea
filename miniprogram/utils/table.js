// Rows of a list as `setData` takes them best: each stands in the data under a name of its own, `rows.r7`, and `order` has the names of those that
// are shown, from the top. A row that comes in above the others, moves or goes costs a list of names, and not all the rows again.

// A phone takes 256 KB well, and WeChat refuses 1 MB. A character has at most three bytes.
const MOST_CHARACTERS_A_CALL = 80 * 1024

function createTable() {
  /** The name of each row in the data, by its key. */
  const names = new Map()
  let free = []
  let count = 0

  return {
    /**
     * Makes of `view`, a page or a component with `rows` and `order` in its data, what it should show: each of `wanted` has a `key`. `more` is set
     * with the last call, when all the rows are there.
     * @param {{ data: any, setData(data: object): void }} view
     * @param {Array<{ key: string }>} wanted
     * @param {object} [more]
     */
    show(view, wanted, more = {}) {
      const { rows, order } = view.data
      let call = {}
      let size = 0
      const put = (path, value) => {
        const characters = path.length + JSON.stringify(value).length
        if (size && size + characters > MOST_CHARACTERS_A_CALL) {
          view.setData(call)
          call = {}
          size = 0
        }
        call[path] = value
        size += characters
      }

      const kept = new Set(wanted.map(({ key }) => key))
      // A name is shown until `order` has been set: it is not given to another row before.
      const released = []
      names.forEach((name, key) => {
        if (kept.has(key)) return
        names.delete(key)
        released.push(name)
      })
      for (const row of wanted) {
        const name = names.get(row.key)
        if (name) {
          const changed = changes(rows[name], row)
          for (const field of Object.keys(changed)) put(`rows.${name}.${field}`, changed[field])
        } else {
          names.set(row.key, free.pop() || `r${count++}`)
          put(`rows.${names.get(row.key)}`, row)
        }
      }
      free = free.concat(released)
      const next = wanted.map(({ key }) => names.get(key))
      if (!same(order, next)) put('order', next)
      for (const name of Object.keys(more)) put(name, more[name])
      if (size) view.setData(call)
    },
  }
}

/** Those fields of `wanted` that are other in `shown`. */
function changes(shown, wanted) {
  const data = {}
  for (const name of Object.keys(wanted)) if (!same(shown[name], wanted[name])) data[name] = wanted[name]
  return data
}

const same = (one, other) => one === other || (typeof one === 'object' && JSON.stringify(one) === JSON.stringify(other))

module.exports = { createTable, changes }
