// Toast, modal, action sheet and what else WeChat shows by itself.
import { api, element, pressable } from './tools.js'
import { settings } from './settings.js'
import { callTop } from './pages.js'

let toast
const hideToast = () => { toast?.remove(); toast = undefined }

function showToast({ title, duration = 1500 }, done) {
  hideToast()
  const shown = (toast = element('div', 'wx-toast', title))
  shown.setAttribute('role', 'status')
  document.body.append(shown)
  setTimeout(() => { if (toast === shown) hideToast() }, duration)
  done()
}

function mask(dialog) {
  const shown = element('div', 'wx-mask')
  shown.append(dialog)
  document.body.append(shown)
  return shown
}

const english = () => settings.language.startsWith('en')
export const sayYes = () => (english() ? 'OK' : '确定')
export const sayNo = () => (english() ? 'Cancel' : '取消')

/** What comes up from the foot of the screen; gives what closes it. */
export function openSheet(...parts) {
  const sheet = element('div', 'wx-sheet')
  sheet.setAttribute('role', 'dialog')
  sheet.append(...parts)
  const shown = mask(sheet)
  return () => shown.remove()
}

/** As WeChat counts: a Chinese character takes the width of two others. */
const widthOf = (text) => [...text].reduce((sum, character) => sum + (character > '\u2e80' ? 2 : 1), 0)

function showModal(options, done) {
  const { title, content, showCancel = true, editable, placeholderText } = options
  const { confirmText = sayYes(), cancelText = sayNo(), confirmColor = '' } = options
  for (const text of [confirmText, cancelText]) if (widthOf(text) > 8) throw new Error(`"${text}" should not be longer than 4 Chinese characters`)
  const dialog = element('div', 'wx-modal')
  dialog.setAttribute('role', 'dialog')
  if (title) dialog.append(element('h2', '', title))
  const field = element('input')
  if (editable) {
    field.placeholder = placeholderText || ''
    field.value = content || ''
    dialog.append(field)
  } else if (content) {
    dialog.append(element('p', '', content))
  }
  const shown = mask(dialog)
  const close = (confirm) => () => {
    shown.remove()
    done({ confirm, cancel: !confirm, ...(editable ? { content: field.value } : {}) })
  }
  const buttons = element('footer')
  if (showCancel) buttons.append(pressable('cancel', cancelText, close(false)))
  const yes = pressable('confirm', confirmText, close(true))
  yes.style.color = confirmColor
  buttons.append(yes)
  dialog.append(buttons)
}

function showActionSheet({ itemList, itemColor }, done, fail) {
  if (itemList.length > 6) throw new Error('parameter error: itemList should not be larger than 6')
  const close = openSheet(
    ...itemList.map((text, tapIndex) => {
      const item = pressable('', text, () => { close(); done({ tapIndex }) })
      item.style.color = itemColor || ''
      return item
    }),
    pressable('cancel', sayNo(), () => { close(); fail('cancel') }),
  )
}

export const dialogs = {
  showToast: api('showToast', showToast),
  showModal: api('showModal', showModal),
  showActionSheet: api('showActionSheet', showActionSheet),
  setClipboardData: api('setClipboardData', ({ data }, done, fail) => {
    if (settings.clipboardFailure) return fail(settings.clipboardFailure.errMsg, settings.clipboardFailure)
    globalThis.host.clipboard = data
    showToast({ title: english() ? 'Copied' : '内容已复制' }, done)
  }),
  // Not WeChat's: what its button with `open-type="share"` does here.
  hostShare: () => { globalThis.host.shared = callTop('onShareAppMessage', { from: 'button' }) },
}
