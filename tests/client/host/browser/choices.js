// <switch>, and the <picker> of a time.
import { defineElement, fire } from './define-element.js'
import { openSheet, sayNo, sayYes } from './wx-dialogs.js'
import { element, pressable } from './tools.js'

defineElement('switch', {
  properties: { checked: Boolean, disabled: Boolean, type: String, color: { type: String, value: '#04be02' } },
  observers: { 'checked, color, disabled'() { this.paint?.() } },
  attached() {
    this.paint = () => {
      this.$$.setAttribute('role', 'switch')
      this.$$.setAttribute('aria-checked', String(this.data.checked))
      this.$$.setAttribute('aria-disabled', String(this.data.disabled))
      this.$$.style.setProperty('--switch', this.data.color)
    }
    this.paint()
    this.addListener('tap', () => {
      if (this.data.disabled) return
      this.setData({ checked: !this.data.checked })
      fire(this, 'change', { value: this.data.checked })
    })
  },
})

defineElement('picker', {
  properties: { mode: { type: String, value: 'selector' }, value: String, disabled: Boolean },
  attached() {
    if (this.data.mode !== 'time') throw new Error(`this host has no picker of mode ${this.data.mode}`)
    this.addListener('tap', () => {
      if (this.data.disabled) return
      const field = Object.assign(element('input'), { type: 'time', value: this.data.value })
      field.setAttribute('aria-label', 'time')
      const close = openSheet(
        field,
        pressable('confirm', sayYes(), () => { close(); fire(this, 'change', { value: field.value }) }),
        pressable('cancel', sayNo(), () => { close(); fire(this, 'cancel', {}) }),
      )
    })
  },
})
