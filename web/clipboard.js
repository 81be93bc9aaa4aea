/** Copying, and what helps where the browser refuses it. */

import { $, make } from './dom.js'
import { openDialog, toast, topmost } from './overlay.js'
import { text } from './text.js'

const dialog = $('#select-dialog')
const field = $('textarea', dialog)
const button = $('.primary', dialog)

/** Copies, and says that it did. Where it cannot, the words stand there to be copied by hand. */
export async function copy(words, said = text('copied')) {
  if (await isCopied(words)) return toast(said)
  if (!dialog.open) select(words, { isAll: true })
  toast(text('not_copied'))
}

/** Shows words of which a part can be selected: with a mouse, a finger or the keyboard. */
export function select(words, { isAll = false } = {}) {
  field.value = words
  // What is `readonly` has no caret in some browsers, and then the keyboard selects nothing. An input method cannot be refused.
  field.onbeforeinput = event => event.preventDefault()
  field.oninput = () => { field.value = words }
  openDialog(dialog, () => copy(selected() || words))
  field.focus()
  field.setSelectionRange(0, isAll ? words.length : 0)
  field.scrollTop = 0
  nameButton()
}

const selected = () => field.value.slice(field.selectionStart, field.selectionEnd)

function nameButton() {
  button.textContent = text(selected() && selected() !== field.value ? 'copy_selected' : 'copy_all')
}
document.addEventListener('selectionchange', () => { if (dialog.open) nameButton() })
field.addEventListener('selectionchange', nameButton)

async function isCopied(words) {
  try {
    await navigator.clipboard.writeText(words)
    return true
  } catch {
    return isCopiedByCommand(words)
  }
}

/** The older way, which needs neither https nor a permission. */
function isCopiedByCommand(words) {
  const { activeElement: focused } = document
  const { selectionStart: from, selectionEnd: to } = field
  const source = make('textarea', { className: 'unseen', value: words, readOnly: true, tabIndex: -1 })
  topmost().append(source)
  source.select()
  let isDone = false
  try {
    isDone = document.execCommand('copy')
  } catch {
    // As if it had said no.
  }
  source.remove()
  focused?.focus({ preventScroll: true })
  if (focused === field) field.setSelectionRange(from, to)
  return isDone
}
