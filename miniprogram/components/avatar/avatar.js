// A face: the picture, or a letter on a colour of the person's own.
Component({
  properties: {
    openid: String,
    name: String,
    src: String,
  },
  data: { broken: '' },
  methods: {
    onError() {
      this.setData({ broken: this.data.src })
    },
  },
})
