// What a test tells the host before the page loads, as `window.hostSettings`.
export const settings = {
  /** Who signs in: `wx.login` gives the code `dev:USER`. */
  user: 'alice',
  language: 'zh_CN',
  /** Answer requests and sockets as WeChat does for a domain that is not listed. */
  domainNotListed: false,
  /** The bytes of JPEG, PNG or WebP that the user chooses as her avatar, as a data URI. */
  avatar: '',
  safeBottom: 0,
  ...globalThis.hostSettings,
  setData: { calls: 0, largest: 0 },
}
