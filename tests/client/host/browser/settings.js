// What a test tells the host before the page loads, as `window.hostSettings`.
export const settings = {
  /** Who signs in: `wx.login` gives the code `dev:USER`. */
  user: 'alice',
  language: 'zh_CN',
  /** Answer requests and sockets as WeChat does for a domain that is not listed. */
  domainNotListed: false,
  /** The bytes of JPEG, PNG or WebP that the user chooses as their avatar, as a data URI. */
  avatar: '',
  safeBottom: 0,
  /** `release`, `trial` or `develop`. */
  envVersion: 'develop',
  /** What `setClipboardData` fails with, such as `{ errno: 112, errMsg }`. */
  clipboardFailure: undefined,
  /** How long what a page sets is on its way to a field, in ms. */
  fieldDelay: 0,
  /** The keyboard goes without telling that its height is 0. */
  keyboardFallsSilently: false,
  ...globalThis.hostSettings,
  /** Bytes as UTF-8. */
  setData: { calls: 0, largest: 0 },
}
