// Whom the user blocks: with the chat deleted, there is no other way back.
const words = require('../../i18n/index')
const { say } = require('../../utils/ask')
const { blockedPeople, setBlocked } = require('../../utils/blocks')
const { nameOf } = require('../../utils/people')
const { createTable } = require('../../utils/table')

/** @type {import('../../sdk/hongyan').Client} */
const chat = getApp().chat

Page({
  data: {
    t: words.blocked,
    room: words.room,
    rows: {},
    order: [],
    isHere: false,
    hasFailed: false,
  },
  /** @type {string[]} */
  openids: [],
  table: createTable(),
  /** @type {Array<() => void>} */
  stops: [],

  onLoad() {
    wx.setNavigationBarTitle({ title: words.blocked.title, fail() {} })
    this.table = createTable()
    this.stops = [chat.on('users', () => this.render())]
    this.load()
  },
  onUnload() {
    this.stops.forEach((stop) => stop())
  },
  async load() {
    this.setData({ hasFailed: false })
    try {
      this.openids = await blockedPeople(chat)
      this.setData({ isHere: true })
      this.render()
    } catch (error) {
      say(error)
      this.setData({ hasFailed: true })
    }
  },
  render() {
    this.table.show(this, this.openids.map((openid) => {
      const user = chat.user(openid)
      return { key: openid, name: nameOf(user), avatar: user.avatar }
    }))
  },
  async onUnblock({ currentTarget }) {
    const { openid } = currentTarget.dataset
    try {
      await setBlocked(chat, openid, false)
      this.openids = this.openids.filter((each) => each !== openid)
      this.render()
    } catch (error) {
      say(error)
    }
  },
})
