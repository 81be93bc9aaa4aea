// What is found on this phone: chats, and messages.
const words = require('../../i18n/index')
const { go } = require('../../utils/ask')
const { nameOf } = require('../../utils/people')
const { textOf } = require('../../utils/messages')
const { MOST_FOUND, find, excerpt } = require('../../utils/search')
const { shortTime } = require('../../utils/time')
const { fill } = require('../../utils/words')

// Not at every key; and what comes meanwhile is searched too, but not at every message.
const TYPED_MS = 150
const CHANGED_MS = 1000

/** @type {import('../../sdk/hongyan').Client} */
const chat = getApp().chat

Page({
  data: {
    t: words.search,
    /** A row is a head, or what was found. @type {any[]} */
    rows: [],
    /** What is said of the rows, and where there are none. */
    more: '',
    none: '',
  },
  words: '',
  /** Number of the search: an older one that is under way ends. */
  run: 0,
  timer: 0,
  /** @type {Array<() => void>} */
  stops: [],

  onLoad() {
    wx.setNavigationBarTitle({ title: words.search.title, fail() {} })
    const changed = () => { if (this.words) this.soon(CHANGED_MS) }
    this.stops = [chat.on('conversations', changed), chat.on('users', changed)]
  },
  onUnload() {
    this.run += 1
    clearTimeout(this.timer)
    this.stops.forEach((stop) => stop())
  },

  onInput({ detail }) {
    this.words = detail.value.trim()
    if (this.words) this.soon(TYPED_MS)
    else this.search()
  },
  soon(ms) {
    this.timer = this.timer || setTimeout(() => this.search(), ms)
  },
  async search() {
    clearTimeout(this.timer)
    this.timer = 0
    this.run += 1
    const run = this.run
    const wanted = this.words
    const found = wanted ? await find(chat, wanted, () => run === this.run) : { chats: [], messages: [], isMore: false }
    if (!found || run !== this.run) return
    const rows = rowsOf(found, wanted, Date.now())
    this.setData({
      rows,
      more: found.isMore ? fill(words.search.more, { count: MOST_FOUND }) : '',
      none: wanted && !rows.length ? fill(words.search.none, { words: wanted }) : '',
    })
  },
  onOpen({ currentTarget }) {
    const { peer, key } = currentTarget.dataset
    go(`/pages/chat/chat?peer=${peer}${key ? `&key=${key}` : ''}`)
  },
})

function rowsOf({ chats, messages }, wanted, now) {
  const people = chats.map((user) => ({ at: user.openid, peer: user.openid, avatar: user.avatar, face: nameOf(user), name: excerpt(nameOf(user), wanted) }))
  const said = messages.map((message) => {
    const user = chat.user(message.peer)
    const face = nameOf(user)
    return {
      at: `${message.peer} ${message.key}`, peer: message.peer, key: message.key, avatar: user.avatar, face, name: { before: face, match: '', after: '' },
      time: shortTime(message.sent_at, now, words.time), words: excerpt(textOf(message), wanted),
    }
  })
  const under = (head, rows) => (rows.length ? [{ at: head, head }].concat(rows) : [])
  return under(words.search.chats, people).concat(under(words.search.messages, said))
}
