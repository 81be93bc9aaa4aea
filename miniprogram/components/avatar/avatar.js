// A user's image, or the first letter of her name on a colour of her own.
const COLOURS = ['#576b95', '#2f8f6b', '#b4672a', '#8656a8', '#a84848', '#3a7ca8', '#6a7f2e', '#a3497f']

function colour(openid) {
  let sum = 0
  for (const character of openid) sum = (sum * 31 + character.charCodeAt(0)) % 65521
  return COLOURS[sum % COLOURS.length]
}

Component({
  properties: { src: String, name: String, openid: String, size: { type: Number, value: 48 } },
  data: { initial: '', colour: '', broken: '' },
  observers: {
    'name, openid'(name, openid) {
      this.setData({ initial: [...(name || openid || '?')][0].toUpperCase(), colour: colour(openid || '') })
    },
  },
  methods: {
    onBroken() {
      this.setData({ broken: this.data.src })
    },
  },
})
