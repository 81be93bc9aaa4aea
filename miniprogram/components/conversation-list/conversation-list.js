// A list of conversations. `rows` come from rows.js. Tells
// `open` {peer}, `remove` {peer}, `refresh` (pulled down: set `refreshing` to false when it is done), and `more` (scrolled to the end).
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
      const { peer } = event.currentTarget.dataset
      wx.showActionSheet({
        itemList: [words.list.remove],
        itemColor: '#FA5151',
        success: () => this.triggerEvent('remove', { peer }),
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
