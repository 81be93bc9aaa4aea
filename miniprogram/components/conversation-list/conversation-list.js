// A list of conversations. Its rows come from rows.js, by utils/table.js. Tells
// `open` {peer}, `pin` {peer, pinned}, `mute` {peer, muted}, `remove` {peer} (the user was asked), `refresh` (pulled down: set `refreshing` to false when it is done), `more`
// (scrolled to the end) and `back` (to the beginning).
const words = require('../../i18n/index')
const { choose, confirm } = require('../../utils/ask')
const { fill } = require('../../utils/words')

Component({
  properties: {
    rows: Object,
    /** The names of those rows that are shown. */
    order: Array,
    refreshing: Boolean,
  },
  data: { t: words.list },
  methods: {
    onTap(event) {
      this.triggerEvent('open', { peer: event.currentTarget.dataset.peer })
    },
    onLongPress({ currentTarget }) {
      const { key: peer, name, muted, pinned, isStored } = this.data.rows[currentTarget.dataset.at]
      const pin = { text: pinned ? words.list.unpin : words.list.pin, run: () => this.triggerEvent('pin', { peer, pinned: !pinned }) }
      const mute = { text: muted ? words.list.unmute : words.list.mute, run: () => this.triggerEvent('mute', { peer, muted: !muted }) }
      const remove = { text: words.list.remove, run: () => this.askToRemove(peer, name) }
      // Of a chat that has only a draft the server knows nothing.
      choose(isStored ? [pin, mute, remove] : [remove])
    },
    askToRemove(peer, name) {
      const { removeTitle: title, removeHint, removeYes: yes } = words.list
      confirm({ title, content: fill(removeHint, { name }), yes, grave: true }, () => this.triggerEvent('remove', { peer }))
    },
    onRefresh() {
      this.triggerEvent('refresh')
    },
    onTop() {
      this.triggerEvent('back')
    },
    onEnd() {
      this.triggerEvent('more')
    },
  },
})
