// A quiet bar above the page while there is no connection. Tells `act` where there is something to tap.
Component({
  properties: {
    text: String,
    action: String,
  },
  methods: {
    onTap() {
      if (this.data.action) this.triggerEvent('act')
    },
  },
})
