// Shows `rows` as view.js makes them. Tells `open`, `menu` ({ peer }), `refresh` and `more`.
const { t } = require('../../utils/i18n')

Component({
  properties: {
    rows: Array,
    /** More can be fetched. */
    hasMore: Boolean,
    /** The pull to refresh is under way. */
    refreshing: Boolean,
    /** Nothing is known yet: no word of emptiness before that. */
    loading: Boolean,
  },
  data: { words: {} },
  lifetimes: {
    attached() {
      this.setData({ words: { empty: t('noChats'), hint: t('noChatsHint'), loading: t('loading') } })
    },
  },
  methods: {
    onTap(event) {
      this.triggerEvent('open', { peer: event.currentTarget.dataset.peer })
    },
    onHold(event) {
      this.triggerEvent('menu', { peer: event.currentTarget.dataset.peer })
    },
    onRefresh() {
      this.triggerEvent('refresh')
    },
    onLower() {
      if (this.data.hasMore) this.triggerEvent('more')
    },
  },
})
