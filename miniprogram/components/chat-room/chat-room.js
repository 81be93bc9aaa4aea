// A chat between two: its messages, and where one writes. `rows` come from rows.js, and which of them from window.js. Tells
// `send` {text, tapped}, `typing`, `retry` {id}, `discard` {id}, `recall` {seq}, `older` and `newer` (scrolled close to that end of the rows),
// `follow` {on} (scrolled to the last row, or away from it) and `latest` (wants to see the newest).
const words = require('../../i18n/index')

const RECALL_MS = 2 * 60 * 1000
// How near to an end more rows are wanted; how near to the end is at the end.
const NEAR_PX = 600
const AT_END_PX = 40
// A menu stands above the finger where there is so much room, else below it.
const MENU_PX = 90

/** Of each room, what the view need not know: how far it is scrolled, its height, and its first row. */
const places = new WeakMap()

Component({
  properties: {
    rows: Array,
    /** Of both people: openid, name, avatar. */
    me: Object,
    peer: Object,
    /** The last row is to be seen, also when others come. */
    follow: Boolean,
    /** There are newer messages than the last row. */
    detached: Boolean,
    /** How many came while the user was away from the end. */
    fresh: Number,
    /** Older ones are on their way. */
    loading: Boolean,
    /** What is written and not sent. */
    draft: String,
  },
  data: {
    t: words.room,
    into: '',
    keyboard: 0,
    /** What was pressed for long, how far down the finger is, and what may be done. */
    menu: /** @type {null | { key: string, mine: boolean, y: number, below: boolean, actions: string[] }} */ (null),
  },
  lifetimes: {
    created() {
      places.set(this, { top: 0, height: 0, first: '' })
    },
    ready() {
      this.measure()
    },
  },
  observers: {
    rows(rows) {
      const place = places.get(this)
      const first = place.first
      place.first = rows.length ? rows[0].key : ''
      // A view that is scrolled stays where it is when rows come above it, by scroll anchoring; at its very top it does not.
      if (this.data.follow) this.showEnd()
      else if (place.top <= 1 && first !== place.first && rows.some((row) => row.key === first)) this.setData({ into: first })
    },
    follow(on) {
      if (on) this.showEnd()
    },
  },
  methods: {
    // A view scrolls when the name changes of what is to be seen: the end has two names.
    showEnd() {
      this.setData({ into: this.data.into === 'end0' ? 'end1' : 'end0' })
    },
    // Also when a finger comes to scroll: the room may have another height than it had.
    measure() {
      this.createSelectorQuery().select('.list').boundingClientRect((rect) => {
        if (rect) places.get(this).height = rect.height
      }).exec()
    },

    onScroll({ detail: { scrollTop, scrollHeight } }) {
      const place = places.get(this)
      const up = scrollTop < place.top
      const down = scrollTop > place.top
      const below = scrollHeight - scrollTop - place.height
      place.top = scrollTop
      if (this.data.menu) this.closeMenu()
      // First of all, for a room that follows goes to its end when rows come.
      if (up && this.data.follow && below > AT_END_PX) this.triggerEvent('follow', { on: false })
      if (!up && !this.data.follow && below <= AT_END_PX && !this.data.detached) this.triggerEvent('follow', { on: true })
      if (!down && scrollTop < NEAR_PX) this.triggerEvent('older')
      if (!up && below < NEAR_PX && this.data.detached) this.triggerEvent('newer')
    },
    onLatest() {
      this.triggerEvent('latest')
    },
    onTapList() {
      wx.hideKeyboard({ fail() {} })
    },

    onLink({ currentTarget }) {
      // A mini-program opens no foreign page.
      wx.setClipboardData({
        data: currentTarget.dataset.url,
        success: () => wx.showToast({ title: words.room.linkCopied, icon: 'none' }),
      })
    },
    onFailed({ currentTarget }) {
      this.triggerEvent('retry', { id: this.data.rows[currentTarget.dataset.index].id })
    },

    onHold({ currentTarget, touches }) {
      const row = this.data.rows[currentTarget.dataset.index]
      const y = touches[0].clientY
      this.setData({ menu: { key: row.key, mine: row.mine, y, below: y < MENU_PX, actions: actionsOf(row) } })
    },
    closeMenu() {
      this.setData({ menu: null })
    },
    onAction({ currentTarget }) {
      // By its key: rows may have come above it meanwhile.
      const row = this.data.menu && this.rowOf(this.data.menu.key)
      this.closeMenu()
      if (!row) return
      const { action } = currentTarget.dataset
      if (action === 'copy') wx.setClipboardData({ data: row.parts.map((part) => part.text).join('') })
      if (action === 'recall') this.triggerEvent('recall', { seq: row.seq })
      if (action === 'retry') this.triggerEvent('retry', { id: row.id })
      if (action === 'remove') this.triggerEvent('discard', { id: row.id })
    },
    rowOf(key) {
      return this.data.rows.find((row) => row.key === key)
    },

    onInput({ detail }) {
      this.setData({ draft: detail.value })
      if (detail.value) this.triggerEvent('typing')
    },
    onSend({ type }) {
      const text = this.data.draft.trim()
      this.setData({ draft: '' })
      // Some calls of WeChat's can only be made in a tap, and the keyboard's key is none.
      if (text) this.triggerEvent('send', { text, tapped: type === 'tap' })
    },
    onKeyboard({ detail }) {
      if (detail.height === this.data.keyboard) return
      this.setData({ keyboard: detail.height }, () => this.onHeight())
    },
    /** The messages have more room, or less. */
    onHeight() {
      this.measure()
      if (this.data.follow) this.showEnd()
    },
  },
})

function actionsOf(row) {
  const actions = ['copy']
  if (row.state === 'failed') actions.push('retry', 'remove')
  else if (row.mine && row.seq && Date.now() - row.sentAt < RECALL_MS) actions.push('recall')
  return actions
}
