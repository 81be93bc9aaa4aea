/**
 * The client as an app sees it, and how it stands: what all modules share. Each adds the calls that are its own.
 * @type {any}
 */
export const client = { openid: '', state: 'stopped' }
