// A panel of emoji, those used last first. Tells `pick` {emoji} and `erase`.
const words = require('../../i18n/index')
const { EMOJI_GROUPS } = require('../../utils/emoji')
const { recentEmoji, useEmoji } = require('../../utils/recent-emoji')

Component({
  data: {
    t: words.emoji,
    groups: EMOJI_GROUPS,
    /** As they were when the panel came: nothing moves under a finger. @type {string[]} */
    recent: [],
  },
  lifetimes: {
    attached() {
      this.setData({ recent: recentEmoji() })
    },
  },
  methods: {
    onPick({ currentTarget }) {
      const { emoji } = currentTarget.dataset
      useEmoji(emoji)
      this.triggerEvent('pick', { emoji })
    },
    onErase() {
      this.triggerEvent('erase')
    },
  },
})
