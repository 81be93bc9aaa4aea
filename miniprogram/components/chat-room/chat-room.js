// A chat between two: its messages, and where one writes. Its rows come from rows.js, which of them from window.js, and by utils/table.js into the
// page. Tells `send` {text, tapped}, `input` {text}, `retry` {id} (the user was asked, or chose it), `discard` {id}, `cancel` {id}, `recall` {seq},
// `copy` {key} and `select` {key} (the whole message is wanted), `face` {openid}, `older` and `newer` (scrolled close to that end of the rows),
// `follow` {on} (scrolled to the last row, or away from it), `latest` (wants to see the newest), `unread` (wants to see the first unread one) and
// `unreadseen` (the first unread one was on the screen).
const words = require('../../i18n/index')
const { confirm, copy } = require('../../utils/ask')

const RECALL_MS = 2 * 60 * 1000
// How near to an end more rows are wanted; how near to the end is at the end.
const NEAR_PX = 600
const AT_END_PX = 40
// A menu stands above the finger where there is so much room, else below it.
const MENU_PX = 90
// Until what was set is on the screen.
const SETTLED_MS = 100

/** Of each room, what the view need not know. */
const places = new WeakMap()
const newPlace = () => ({
  /** How far it is scrolled, its height, and its first row. */
  top: 0, height: 0, first: '',
  /** What is written in the field, and what the data has for it: they are the same after something was set only. */
  typed: '', isFocused: true, keyboard: 0,
  /** The timer of the next look for the line above the unread; what is below another page is not looked at. */
  look: 0, isShown: true,
})

Component({
  properties: {
    rows: Object,
    /** The names of those rows that are shown. */
    order: Array,
    /** Of both people: openid, name, avatar. */
    me: Object,
    peer: Object,
    /** The last row is to be seen, also when others come. */
    follow: Boolean,
    /** There are newer messages than the last row. */
    detached: Boolean,
    /** How many came while the user was away from the end. */
    fresh: Number,
    /** How many were unread when the room was entered: a button leads to the first of them, where it is not on the screen. */
    unread: Number,
    /** The first unread one is on its way. */
    seeking: Boolean,
    /** The key of a row that is to stand at the top of the screen. */
    reveal: String,
    /** Older ones are on their way. */
    loading: Boolean,
    /** What to put into the field, as what was written before. */
    draft: String,
    /** Something lies above the upper edge of the messages, so high. */
    covered: Number,
  },
  data: {
    t: words.room,
    into: '',
    keyboard: 0,
    /** What the field is to show; what is typed there is not written back, for a key that was pressed meanwhile would be lost. */
    value: '',
    isReady: false,
    /** The first unread one is above the screen. */
    isUnreadAbove: false,
    /** What was pressed for long, how far down the finger is, and what may be done. */
    menu: /** @type {null | { at: string, key: string, mine: boolean, y: number, below: boolean, actions: string[] }} */ (null),
  },
  lifetimes: {
    created() {
      places.set(this, newPlace())
    },
    ready() {
      this.measure()
    },
    detached() {
      clearTimeout(places.get(this).look)
    },
  },
  pageLifetimes: {
    show() {
      places.get(this).isShown = true
      this.lookForUnread()
    },
    // The keyboard goes with the page, told or not.
    hide() {
      places.get(this).isShown = false
      this.setKeyboard(0)
    },
    // A phone was unfolded or turned, or a window drawn larger.
    resize() {
      this.onHeight()
    },
  },
  observers: {
    'rows, order'(rows, order) {
      const place = places.get(this)
      const { first } = place
      place.first = order.length ? rows[order[0]].key : ''
      // A view that is scrolled stays where it is when rows come above it, by scroll anchoring; at its very top it does not.
      if (this.data.follow) this.showEnd()
      else if (place.top <= 1 && first !== place.first && order.some((at) => rows[at].key === first)) this.setData({ into: first })
      this.lookForUnread()
    },
    follow(on) {
      if (on) this.showEnd()
    },
    reveal(key) {
      if (key) this.setData({ into: key })
    },
    unread() {
      this.lookForUnread()
    },
    draft(text) {
      if (text !== places.get(this).typed) this.setField(text)
    },
  },
  methods: {
    // A view scrolls when the name changes of what is to be seen: the end has two names.
    showEnd() {
      this.setData({ into: this.data.into === 'end0' ? 'end1' : 'end0' })
    },
    // Also when a finger comes to scroll: the room may have another height than it had.
    measure(then) {
      this.createSelectorQuery().select('.list').boundingClientRect((rect) => {
        if (rect) places.get(this).height = rect.height
        if (typeof then === 'function') then()
      }).exec()
    },

    onScroll({ detail: { scrollTop, scrollHeight } }) {
      const place = places.get(this)
      const up = scrollTop < place.top
      const down = scrollTop > place.top
      const below = () => scrollHeight - scrollTop - place.height
      place.top = scrollTop
      if (this.data.menu) this.closeMenu()
      this.lookForUnread()
      const tell = () => {
        // First of all, for a room that follows goes to its end when rows come.
        if (up && this.data.follow && below() > AT_END_PX) this.triggerEvent('follow', { on: false })
        if (!up && !this.data.follow && below() <= AT_END_PX && !this.data.detached) this.triggerEvent('follow', { on: true })
        if (!down && scrollTop < NEAR_PX) this.triggerEvent('older')
        if (!up && below() < NEAR_PX && this.data.detached) this.triggerEvent('newer')
      }
      // A room that grew is scrolled up by that, and by nobody: its height as it is now tells the two apart.
      if (up && this.data.follow && below() > AT_END_PX) this.measure(tell)
      else tell()
    },
    onLatest() {
      this.triggerEvent('latest')
    },
    onTapList() {
      wx.hideKeyboard({ fail() {} })
    },

    /** Whether the button that leads to the first unread one is wanted: as long as that was not on the screen. */
    lookForUnread() {
      const place = places.get(this)
      if (!this.data.unread) {
        if (this.data.isUnreadAbove) this.setData({ isUnreadAbove: false })
        return
      }
      if (!place.isShown) return
      place.look = place.look || setTimeout(() => {
        place.look = 0
        if (!place.isShown) return
        const query = this.createSelectorQuery()
        for (const part of ['.list', '.new', '.end']) query.select(part).boundingClientRect()
        query.exec(([list, line, end]) => this.judgeUnread(list, line, end))
      }, SETTLED_MS)
    },
    judgeUnread(list, line, end) {
      if (!this.data.unread || !list || !end) return
      // It is on its way to its end.
      if (this.data.follow && end.bottom - list.bottom > AT_END_PX) return this.lookForUnread()
      const isUnreadAbove = !line || line.bottom <= list.top
      if (isUnreadAbove !== this.data.isUnreadAbove) this.setData({ isUnreadAbove })
      if (!isUnreadAbove) this.triggerEvent('unreadseen')
    },
    onUnread() {
      this.triggerEvent('unread')
    },

    onFace({ currentTarget }) {
      this.triggerEvent('face', { openid: currentTarget.dataset.openid })
    },
    onLink({ currentTarget }) {
      // A mini-program opens no foreign page.
      copy(currentTarget.dataset.url, words.room.linkCopied)
    },
    onWhole({ currentTarget }) {
      this.triggerEvent('select', { key: this.data.rows[currentTarget.dataset.at].key })
    },
    onFailed({ currentTarget }) {
      const { id } = this.data.rows[currentTarget.dataset.at]
      // A mark is small, and what is sent is read.
      confirm({ title: words.room.retryTitle, yes: words.room.retryYes }, () => this.triggerEvent('retry', { id }))
    },

    onHold({ currentTarget, touches }) {
      const { at } = currentTarget.dataset
      const row = this.data.rows[at]
      const y = touches[0].clientY
      this.setData({ menu: { at, key: row.key, mine: row.mine, y, below: y < MENU_PX, actions: actionsOf(row) } })
    },
    closeMenu() {
      this.setData({ menu: null })
    },
    onAction({ currentTarget }) {
      const { action } = currentTarget.dataset
      const { menu } = this.data
      this.closeMenu()
      const row = menu && this.data.rows[menu.at]
      // It may have gone meanwhile, and another one have its place.
      if (!row || row.key !== menu.key) return
      const { key, id, seq } = row
      if (action === 'recall') this.triggerEvent('recall', { seq })
      else this.triggerEvent(action === 'remove' ? 'discard' : action, { key, id })
    },

    onInput({ detail }) {
      this.setTyped(detail.value)
    },
    setTyped(text) {
      places.get(this).typed = text
      const isReady = !!text.trim()
      if (isReady !== this.data.isReady) this.setData({ isReady })
      this.triggerEvent('input', { text })
    },
    /** Puts a text into the field. WeChat sets there only what is other in the data: so it is told first what is typed. */
    setField(text) {
      const place = places.get(this)
      if (this.data.value !== place.typed) this.setData({ value: place.typed })
      place.typed = text
      this.setData({ value: text, isReady: !!text.trim() })
    },
    onSend({ type }) {
      const text = places.get(this).typed.trim()
      if (!text) return
      this.setField('')
      // Some calls of WeChat's can only be made in a tap, and the keyboard's key is none.
      this.triggerEvent('send', { text, tapped: type === 'tap' })
    },

    onFocus({ detail }) {
      const place = places.get(this)
      place.isFocused = true
      this.setKeyboard(detail.height || place.keyboard)
    },
    // On some phones the keyboard goes without a word.
    onBlur() {
      places.get(this).isFocused = false
      this.setKeyboard(0)
    },
    onKeyboard({ detail }) {
      const place = places.get(this)
      place.keyboard = detail.height
      // A word of a keyboard that comes after the field was left is an old one.
      if (place.isFocused || !detail.height) this.setKeyboard(detail.height)
    },
    setKeyboard(height) {
      places.get(this).keyboard = height
      if (height !== this.data.keyboard) this.setData({ keyboard: height }, () => this.onHeight())
    },
    /** The messages have more room, or less. */
    onHeight() {
      this.measure()
      if (this.data.follow) this.showEnd()
    },
  },
})

function actionsOf(row) {
  const actions = ['copy', 'select']
  if (row.state === 'failed') actions.push('retry', 'remove')
  else if (row.state === 'sending') actions.push('cancel')
  else if (row.mine && row.seq && Date.now() - row.sentAt < RECALL_MS) actions.push('recall')
  return actions
}
