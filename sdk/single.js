/** `run`, for each key one at a time: who asks meanwhile gets the same answer. */
export const single = run => {
  const going = new Map()
  return key => {
    const done = () => going.delete(key)
    if (!going.has(key)) {
      going.set(key, run(key))
      going.get(key).then(done, done)
    }
    return going.get(key)
  }
}
