/** What went wrong, as one kind of object: an Error with a `word`. */

/** @type {any} */
export const noop = () => {}

export const fault = (word, message, more) => Object.assign(new Error(message || word), more, { word })

/** Of an error frame, or of the body of an HTTP answer. */
export const faultOf = ({ error, message, ...more }) => fault(error, message, more)

/**
 * Of anything that was thrown: `wx` fails with objects that have an `errMsg`.
 * @param {any} e
 */
export const toFault = e => {
  const thrown = e || {}
  const text = thrown.errMsg || thrown.message
  if (thrown.word) return thrown
  if (/domain list/.test(text)) return fault('domain_not_allowed', "list the server's domain in the console", { status: 403 })
  return fault(/timeout/.test(text) ? 'timeout' : 'offline', text)
}

export const unavailable = () => fault('unavailable', '', { status: 503 })

/** Trying again would change nothing. Too often (429) passes, and so does what has no answer. */
export const isFinal = ({ status }) => /^4(?!29)/.test(status)
