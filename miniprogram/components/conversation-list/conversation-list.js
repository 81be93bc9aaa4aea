// A list of conversations. `rows` come from rows.js. Tells
// `open` {peer}, `mute` {peer, muted}, `remove` {peer}, `refresh` (pulled down: set `refreshing` to false when it is done), and `more` (scrolled to the end).
const words = require('../../i18n/index')

Component({
  properties: {
    rows: Array,
    refreshing: Boolean,
  },
  data: { t: words.list },
  methods: {
    onTap(event) {
      this.triggerEvent('open', { peer: event.currentTarget.dataset.peer })
    },
    onLongPress(event) {
      const { peer, muted } = event.currentTarget.dataset
      wx.showActionSheet({
        itemList: [muted ? words.list.unmute : words.list.mute, words.list.remove],
        success: ({ tapIndex }) => {
          if (tapIndex) this.triggerEvent('remove', { peer })
          else this.triggerEvent('mute', { peer, muted: !muted })
        },
        fail() {},
      })
    },
    onRefresh() {
      this.triggerEvent('refresh')
    },
    onEnd() {
      this.triggerEvent('more')
    },
  },
})
