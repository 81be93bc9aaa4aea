/** Profile of the user: name and face for others, alerts and quiet hours, and the way out. */

import { avatar, base64, shrink } from './avatar.js'
import { $, make } from './dom.js'
import { confirm, openDialog, toast } from './overlay.js'
import { explain, text } from './text.js'

const NICKNAME_CHARACTERS = 32
const DEFAULT_HOURS = { from: '22:00', to: '08:00' }

const dialog = $('#profile-dialog')
const picture = $('.picture > span', dialog)
const file = $('input[type=file]', dialog)
const nickname = $('#profile-nickname')
const problem = $('#profile-error')
const quiet = $('#profile-quiet')
const [isQuiet, from, to] = quiet.querySelectorAll('input')
const alertsProblem = $('#profile-alerts .problem')
const [sound, notification, words] = $('#profile-alerts').querySelectorAll('input')

export function openProfile(chat, alerts, signOut) {
  const me = chat.me()
  let chosen
  picture.replaceChildren(avatar(me))
  nickname.value = me.nickname
  problem.textContent = ''
  file.value = ''
  $('code', dialog).textContent = me.openid
  showAlerts(alerts)
  const hours = showHours(chat)
  file.onchange = async () => {
    problem.textContent = ''
    if (!file.files.length) return
    try {
      chosen = await shrink(file.files[0])
    } catch {
      problem.textContent = text('no_image')
      return
    }
    const url = URL.createObjectURL(chosen)
    const image = make('img', { src: url, alt: '', onload: () => URL.revokeObjectURL(url) })
    picture.replaceChildren(make('span', { className: 'avatar' }, image))
  }
  $('#sign-out').onclick = () => {
    dialog.close()
    confirm({ title: text('sign_out'), detail: text('sign_out_text'), action: text('sign_out') }, signOut)
  }
  openDialog(dialog, async () => {
    const name = nickname.value.trim()
    // As the server counts: an emoji of one code point is one.
    if ([...name].length > NICKNAME_CHARACTERS) {
      problem.textContent = text('nickname_too_long')
      return
    }
    if (isQuiet.checked && !(from.value && to.value)) {
      problem.textContent = text('no_hours')
      return
    }
    // They are of this tab alone: the server need not be there for them.
    alerts.save({ sound: sound.checked, notification: notification.checked, words: words.checked })
    const button = $('.primary', dialog)
    button.disabled = true
    try {
      // What was not known, when the dialog opened, is not to be taken away.
      await chat.setProfile({ ...(name !== me.nickname && { nickname: name }), ...(chosen && { avatar: await base64(chosen) }) })
      await saveHours(chat, await hours)
      dialog.close()
      toast(text('saved'))
    } catch (error) {
      problem.textContent = explain(error)
    } finally {
      button.disabled = false
    }
  })
}

/** The browser is asked at once, for it answers to a click only; what was chosen counts when it is saved. */
function showAlerts(alerts) {
  const settings = alerts.settings()
  const say = key => { alertsProblem.textContent = key ? text(key) : '' }
  say()
  sound.checked = settings.sound
  notification.checked = settings.notification
  words.checked = settings.words
  sound.onchange = () => {
    say()
    if (!sound.checked || alerts.trySound()) return
    sound.checked = false
    say('alert_no_sound')
  }
  notification.onchange = async () => {
    say()
    if (!notification.checked) return
    const refusal = await alerts.askToNotify()
    if (!refusal) return
    notification.checked = false
    say(refusal)
  }
}

/** Those that the server has, as they are shown; nothing where it sends no notices. */
async function showHours(chat) {
  quiet.hidden = true
  isQuiet.checked = false
  // Without the server they can be neither shown nor changed.
  const { templates = [], quiet: hours } = await chat.call('GET', '/v1/notices').catch(() => ({}))
  if (!templates.length) return undefined
  // From an hour to the same hour is no time.
  isQuiet.checked = !!hours && hours.from !== hours.to
  const { from: first, to: last } = isQuiet.checked ? hours : DEFAULT_HOURS
  from.value = first
  to.value = last
  quiet.hidden = false
  return shownHours()
}

const shownHours = () => isQuiet.checked ? `${from.value}-${to.value}` : ''

async function saveHours(chat, before) {
  const shown = shownHours()
  if (before === undefined || shown === before) return
  const [first, last] = shown ? [from.value, to.value] : ['00:00', '00:00']
  await chat.call('PUT', '/v1/notices/quiet', { from: first, to: last, utc_offset_minutes: -new Date().getTimezoneOffset() })
}
