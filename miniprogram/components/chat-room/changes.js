// setData's cost is what crosses to the other thread: so only what differs is sent, by its path.

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b)

/** What `setData` must be given so that `before` becomes `after`; both are lists of items with a `key`. */
function changes(before, after) {
  const keeps = after.length >= before.length && before.every((item, n) => item.key === after[n].key)
  if (!keeps) return same(before, after) ? {} : { items: after }
  const data = {}
  after.forEach((item, n) => {
    if (!same(before[n], item)) data[`items[${n}]`] = item
  })
  return data
}

module.exports = { changes }
