// What the rest of the host is made of.

export function emitter() {
  const listeners = new Set()
  return {
    on: (run) => { listeners.add(run) },
    off: (run) => { if (run) listeners.delete(run); else listeners.clear() },
    emit: (...details) => { for (const run of [...listeners]) run(...details) },
  }
}

/** A call of `wx` that takes `success`, `fail` and `complete`, and gives a promise where none of them is there. */
export function api(name, run) {
  return (options = {}) => {
    const settle = (succeed, refuse) => {
      const done = (result) => succeed({ errMsg: `${name}:ok`, ...result })
      const failed = (why, more) => refuse({ errMsg: `${name}:fail ${why}`, ...more })
      try {
        run(options, done, failed)
      } catch (error) {
        failed(error.message)
      }
    }
    if (!options.success && !options.fail && !options.complete) return new Promise(settle)
    settle(
      (result) => { options.success?.(result); options.complete?.(result) },
      (result) => { options.fail?.(result); options.complete?.(result) },
    )
  }
}

export function element(tag, className, text) {
  const made = document.createElement(tag)
  if (className) made.className = className
  if (text !== undefined) made.textContent = text
  return made
}

export function pressable(className, label, run) {
  const made = element('button', className, label)
  made.type = 'button'
  made.addEventListener('click', run)
  return made
}

export const theme = () => (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')
export const onTheme = (run) => matchMedia('(prefers-color-scheme: dark)').addEventListener('change', run)
