// <input> and <textarea>, and the keyboard that comes up with them.
import { defineElement, fire } from './define-element.js'
import { keyboard } from './keyboard.js'
import { settings } from './settings.js'

const properties = {
  value: String,
  type: { type: String, value: 'text' },
  placeholder: String,
  placeholderClass: String,
  placeholderStyle: String,
  disabled: Boolean,
  maxlength: { type: Number, value: 140 },
  focus: Boolean,
  autoHeight: Boolean,
  fixed: Boolean,
  showConfirmBar: { type: Boolean, value: true },
  disableDefaultPadding: Boolean,
  confirmType: String,
  confirmHold: Boolean,
  holdKeyboard: Boolean,
  adjustPosition: { type: Boolean, value: true },
  cursorSpacing: Number,
}

function field(tag) {
  return {
    properties,
    observers: {
      value(value) {
        const put = () => {
          if (!this.field || this.field.value === value) return
          this.field.value = value
          this.fit()
        }
        if (settings.fieldDelay) setTimeout(put, settings.fieldDelay)
        else put()
      },
      'placeholder, disabled, maxlength'() { this.paint?.() },
      // Not within the call that sets the data, as in WeChat.
      focus(value) { if (value) queueMicrotask(() => this.field?.focus()) },
    },
    methods: {
      fit() {
        if (!this.data.autoHeight) return
        this.field.style.height = '0'
        const height = this.field.scrollHeight
        this.field.style.height = ''
        if (this.$$.style.height === `${height}px`) return
        this.$$.style.height = `${height}px`
        const lineCount = Math.round(height / parseFloat(getComputedStyle(this.field).lineHeight))
        queueMicrotask(() => fire(this, 'linechange', { height, lineCount }))
      },
    },
    attached() {
      const own = (this.field = document.createElement(tag))
      this.paint = () => {
        own.placeholder = this.data.placeholder
        own.disabled = this.data.disabled
        if (this.data.maxlength < 0) own.removeAttribute('maxlength')
        else own.maxLength = this.data.maxlength
        const label = this.data.ariaLabel || this.data.placeholder
        if (label) own.setAttribute('aria-label', label)
      }
      this.paint()
      own.value = this.data.value
      this.$$.appendChild(own)
      this.fit()
      own.addEventListener('input', (event) => {
        event.stopPropagation()
        this.fit()
        fire(this, 'input', { value: own.value, cursor: own.selectionStart, keyCode: 0 })
      })
      own.addEventListener('focus', () => {
        fire(this, 'focus', { value: own.value, height: keyboard.height })
        this.unwatch = keyboard.watch((height) => fire(this, 'keyboardheightchange', { height, duration: 0 }))
        keyboard.rise(this.data.holdKeyboard)
      })
      own.addEventListener('blur', () => {
        keyboard.fall()
        this.unwatch()
        fire(this, 'blur', { value: own.value, cursor: own.selectionStart })
        // WeChat looks at a nickname after the field was left.
        if (this.data.type === 'nickname') setTimeout(() => fire(this, 'nicknamereview', { pass: true, timeout: false }))
      })
      own.addEventListener('keydown', (event) => {
        if (event.key !== 'Enter' || event.isComposing) return
        if (tag === 'textarea' && (!this.data.confirmType || this.data.confirmType === 'return')) return
        event.preventDefault()
        fire(this, 'confirm', { value: own.value })
        if (!this.data.confirmHold) own.blur()
      })
    },
  }
}

defineElement('input', field('input'))
defineElement('textarea', field('textarea'))
