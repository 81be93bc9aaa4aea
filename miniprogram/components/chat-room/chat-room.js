// A chat between two: its messages, and where one writes. Its rows come from rows.js, which of them from window.js, and by utils/table.js into the
// page. Tells `send` {text, tapped}, `input` {text}, `retry` {id} (the user was asked, or chose it), `discard` {id}, `cancel` {id}, `recall` {seq},
// `copy` {key} and `select` {key} (the whole message is wanted), `copyseveral` {keys}, `face` {openid}, `older` and `newer` (scrolled close to that end of the rows),
// `follow` {on} (scrolled to the last row, or away from it), `latest` (wants to see the newest), `unread` (wants to see the first unread one) and
// `unreadseen` (the first unread one was on the screen).
const words = require('../../i18n/index')
const { confirm, copy, toast } = require('../../utils/ask')
const { fill } = require('../../utils/words')

const RECALL_MS = 2 * 60 * 1000
// How near to an end more rows are wanted; how near to the end is at the end.
const NEAR_PX = 600
const AT_END_PX = 40
// A menu stands above the finger where there is so much room, else below it.
const MENU_PX = 90
const MOST_CHOSEN = 100
const LONGEST_TEXT = 2000
// Height of the panel of emoji where that of the keyboard is not known.
const PANEL_PX = 300
// A character as it is seen: of one code point or of several.
const LAST_CHARACTER = /(?:(?:[\ud800-\udbff][\udc00-\udfff]|[^])(?:\ufe0f|\ud83c[\udffb-\udfff])?\u200d)*(?:[\ud800-\udbff][\udc00-\udfff]|[^])(?:\ufe0f|\ud83c[\udffb-\udfff])?$/
// No such character is longer.
const LONGEST_CHARACTER = 64
// Until what was set is on the screen.
const SETTLED_MS = 100

/** Of each room, what the view need not know. */
const places = new WeakMap()
const newPlace = () => ({
  /** How far it is scrolled, its height, and its first row. */
  top: 0, height: 0, first: '',
  /** What is written in the field, and what the data has for it: they are the same after something was set only. */
  typed: '', isFocused: true, keyboard: 0,
  /** Where in the field the caret is; and the height of a keyboard that was there. */
  caret: 0, panel: PANEL_PX,
  /** The timer of the next look for the line above the unread; what is below another page is not looked at. */
  look: 0, isShown: true,
})

/** What can be done with several messages: a word of the room's, and the event that tells it. */
const SEVERAL_ACTIONS = [
  { name: 'copy', event: 'copyseveral' },
]

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
    /** The key of the row that a search has led to. */
    found: String,
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
    /** The emoji are in the keyboard's place, so high. */
    isEmojiOpen: false,
    panel: PANEL_PX,
    /** Calls the keyboard. */
    isCalled: false,
    /** Several messages are being chosen: which, by key, and how many. */
    isChoosing: false,
    chosen: /** @type {Record<string, boolean>} */ ({}),
    count: 0,
    severalActions: SEVERAL_ACTIONS,
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
      this.setEmoji(false)
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
      if (this.data.isChoosing) this.dropRecalled(rows, order)
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
      this.setEmoji(false)
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
      if (this.data.isChoosing) return
      this.triggerEvent('face', { openid: currentTarget.dataset.openid })
    },
    onLink({ currentTarget }) {
      if (this.data.isChoosing) return
      // A mini-program opens no foreign page.
      copy(currentTarget.dataset.url, words.room.linkCopied)
    },
    onWhole({ currentTarget }) {
      if (this.data.isChoosing) return
      this.triggerEvent('select', { key: this.data.rows[currentTarget.dataset.at].key })
    },
    onFailed({ currentTarget }) {
      if (this.data.isChoosing) return
      const { id } = this.data.rows[currentTarget.dataset.at]
      // A mark is small, and what is sent is read.
      confirm({ title: words.room.retryTitle, yes: words.room.retryYes }, () => this.triggerEvent('retry', { id }))
    },

    onHold({ currentTarget, touches }) {
      if (this.data.isChoosing) return
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
      if (action === 'several') this.choose(key)
      else if (action === 'recall') this.triggerEvent('recall', { seq })
      else this.triggerEvent(action === 'remove' ? 'discard' : action, { key, id })
    },

    /** Several messages: the first is the one whose menu it was. */
    choose(key) {
      wx.hideKeyboard({ fail() {} })
      this.setEmoji(false)
      this.setData({ isChoosing: true, chosen: { [key]: true }, count: 1 }, () => this.onHeight())
    },
    onRow({ currentTarget }) {
      const { key, note } = this.data.rows[currentTarget.dataset.at]
      const { isChoosing, chosen, count } = this.data
      if (!isChoosing || note) return
      if (!chosen[key] && count >= MOST_CHOSEN) toast(fill(words.room.mostChosen, { count: MOST_CHOSEN }))
      else this.setData({ [`chosen.${key}`]: !chosen[key], count: count + (chosen[key] ? -1 : 1) })
    },
    dropRecalled(rows, order) {
      const dropped = order.map((at) => rows[at]).filter(({ key, note }) => note && this.data.chosen[key])
      for (const { key } of dropped) this.setData({ [`chosen.${key}`]: false, count: this.data.count - 1 })
    },
    onLeaveChoosing() {
      this.setData({ isChoosing: false, chosen: {}, count: 0 }, () => this.onHeight())
    },
    onSeveral({ currentTarget }) {
      const { chosen, count } = this.data
      if (!count) return
      this.onLeaveChoosing()
      this.triggerEvent(currentTarget.dataset.event, { keys: Object.keys(chosen).filter((key) => chosen[key]) })
    },

    onInput({ detail }) {
      places.get(this).caret = typeof detail.cursor === 'number' ? detail.cursor : detail.value.length
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
      place.caret = text.length
      this.setData({ value: text, isReady: !!text.trim() })
    },
    /** Puts a text in at the caret, and takes as many characters before it away: the rest of what is typed stays. */
    insert(given, taken = 0) {
      const place = places.get(this)
      const caret = Math.min(place.caret, place.typed.length)
      const before = place.typed.slice(0, caret - taken) + given
      const text = before + place.typed.slice(caret)
      if (text.length > LONGEST_TEXT) return toast(words.errors.too_large)
      this.setField(text)
      place.caret = before.length
      this.triggerEvent('input', { text })
    },
    onAgain({ currentTarget }) {
      this.insert(this.data.rows[currentTarget.dataset.at].again)
    },
    onPick({ detail }) {
      this.insert(detail.emoji)
    },
    onErase() {
      const { typed, caret } = places.get(this)
      const last = LAST_CHARACTER.exec(typed.slice(Math.max(0, caret - LONGEST_CHARACTER), caret))
      if (last) this.insert('', last[0].length)
    },
    /** The emoji for the keyboard, or the keyboard for the emoji. */
    onEmoji() {
      if (this.data.isEmojiOpen) return this.setData({ isCalled: true })
      wx.hideKeyboard({ fail() {} })
      this.setEmoji(true)
    },
    setEmoji(on) {
      if (on !== this.data.isEmojiOpen) this.setData({ isEmojiOpen: on, panel: places.get(this).panel }, () => this.onHeight())
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
      this.setEmoji(false)
      this.setKeyboard(detail.height || place.keyboard)
    },
    // On some phones the keyboard goes without a word.
    onBlur({ detail }) {
      const place = places.get(this)
      place.isFocused = false
      if (typeof detail.cursor === 'number') place.caret = detail.cursor
      if (this.data.isCalled) this.setData({ isCalled: false })
      this.setKeyboard(0)
    },
    onKeyboard({ detail }) {
      const place = places.get(this)
      place.keyboard = detail.height
      // A word of a keyboard that comes after the field was left is an old one.
      if (place.isFocused || !detail.height) this.setKeyboard(detail.height)
    },
    setKeyboard(height) {
      const place = places.get(this)
      place.keyboard = height
      if (height) place.panel = height
      if (height !== this.data.keyboard) this.setData({ keyboard: height }, () => this.onHeight())
    },
    /** The messages have more room, or less. */
    onHeight() {
      this.measure()
      if (this.data.follow) this.showEnd()
    },
  },
})

/** What can be done with a message, in the menu's order: a line each. */
function actionsOf({ state, mine, seq, sentAt }) {
  const isStored = !state && seq > 0
  return [
    { name: 'copy', isOffered: true },
    { name: 'select', isOffered: true },
    { name: 'retry', isOffered: state === 'failed' },
    { name: 'remove', isOffered: state === 'failed' },
    { name: 'cancel', isOffered: state === 'sending' },
    { name: 'several', isOffered: true },
    { name: 'recall', isOffered: isStored && mine && Date.now() - sentAt < RECALL_MS },
  ].filter(({ isOffered }) => isOffered).map(({ name }) => name)
}
