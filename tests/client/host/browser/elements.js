// The built-in components that the pages use, but for fields and scroll-view.
import { defineElement, fire } from './define-element.js'
import { settings } from './settings.js'

defineElement('view', {})
defineElement('text', {
  properties: { userSelect: Boolean, decode: Boolean, space: String },
  observers: { userSelect(on) { this.$$.classList.toggle('selectable', on) } },
})

const FIT = { aspectFill: 'cover', aspectFit: 'contain', scaleToFill: 'fill' }
defineElement('image', {
  properties: { src: String, mode: { type: String, value: 'scaleToFill' }, lazyLoad: Boolean, fadeIn: Boolean },
  observers: { src() { this.paint?.() }, mode() { this.paint?.() } },
  attached() {
    const image = document.createElement('img')
    image.alt = ''
    image.onload = () => fire(this, 'load', { width: image.naturalWidth, height: image.naturalHeight })
    image.onerror = () => fire(this, 'error', { errMsg: `load fail ${image.src}` })
    this.paint = () => {
      image.style.objectFit = FIT[this.data.mode]
      if (this.data.src) image.src = this.data.src
      else image.removeAttribute('src')
    }
    this.paint()
    this.$$.appendChild(image)
  },
})

defineElement('button', {
  properties: { type: String, size: String, disabled: Boolean, plain: Boolean, loading: Boolean, openType: String },
  observers: { 'type, size, disabled, plain, loading'() { this.paint?.() } },
  attached() {
    this.paint = () => {
      const { type, size, disabled, plain, loading } = this.data
      this.$$.dataset.look = [type, size === 'mini' && 'mini', disabled && 'disabled', plain && 'plain', loading && 'loading'].filter(Boolean).join(' ')
      this.$$.setAttribute('role', 'button')
      this.$$.setAttribute('aria-disabled', String(disabled))
    }
    this.paint()
    this.addListener('tap', () => {
      if (this.data.disabled) return
      if (this.data.openType === 'chooseAvatar') fire(this, 'chooseavatar', { avatarUrl: settings.avatar })
      if (this.data.openType === 'share') wx.hostShare()
      if (this.data.openType === 'feedback') globalThis.host.feedback = true
    })
  },
})
