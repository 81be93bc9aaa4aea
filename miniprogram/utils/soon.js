const FRAME_MS = 16

/** Runs once for all the calls of a frame: a burst of events is one change on the screen. */
function soon(run) {
  let due = 0
  const call = () => {
    due = due || setTimeout(() => {
      due = 0
      run()
    }, FRAME_MS)
  }
  call.cancel = () => {
    clearTimeout(due)
    due = 0
  }
  return call
}

module.exports = { soon }
