/** Puts the parts together: who is signed in, which chat is open (the part of the address after `#`), and how the connection is. */

import { Alerts } from './alerts.js'
import { avatar } from './avatar.js'
import { Card } from './card.js'
import { Composer } from './composer.js'
import { $, make } from './dom.js'
import { Drafts } from './drafts.js'
import { List } from './list.js'
import { openDialog, showMenu, toast } from './overlay.js'
import { PresenceBar } from './presence.js'
import { openProfile } from './profile.js'
import { Room } from './room.js'
import { Search } from './search.js'
import { leave, signIn, signInAgain } from './sign-in.js'
import { explain, isOpenid, text, translate } from './text.js'

const narrow = matchMedia('(max-width: 719px)')
/** Where there is a keyboard on the screen, it comes when it is called. */
const touch = matchMedia('(pointer: coarse)')

translate(document)
main()

async function main() {
  let mode
  try {
    const answer = await fetch('/assets/config.json')
    mode = (await answer.json()).sign_in
  } catch {
    return document.body.append(make('main', { className: 'nothing', role: 'alert', textContent: text('no_server') }))
  }
  run(await signIn(mode), mode)
}

function run({ chat, store }, mode) {
  const drafts = new Drafts(store)
  const alerts = new Alerts(chat, store)
  const card = new Card(chat)
  const showMyself = () => openProfile(chat, alerts, async () => {
    await chat.signOut().catch(() => {})
    leave()
  })
  const showUser = openid => openid === chat.openid ? showMyself() : card.show(openid)
  const list = new List(chat, drafts, showUser)
  const composer = new Composer(chat, drafts, store, () => room.toNewest())
  const room = new Room(chat, { showUser, writeAnew: words => composer.insert(words) })
  const presence = new PresenceBar(chat)
  /** Key of the message to be shown in the chat that is on its way. */
  let wanted
  const showWanted = () => {
    if (wanted && !room.reveal(wanted)) toast(text('error_not_found'))
    wanted = undefined
  }
  new Search(chat, (peer, key) => {
    wanted = key
    if (room.peer === peer) showWanted()
    else location.hash = `#${peer}`
  })

  const showOpenChat = () => {
    const peer = location.hash.slice(1)
    const open = isOpenid(peer) ? peer : ''
    $('#app').dataset.view = open ? 'room' : 'list'
    list.show(open)
    room.show(open)
    presence.show(open)
    composer.show(open)
    if (wanted) showWanted()
    else if (!open) list.focus()
    else if (touch.matches) room.focus()
    else composer.focus()
  }
  /** Back is back, where the list was before: the browser's own button does not lead into the chat again. */
  let fromList = false
  const backToList = () => {
    if (fromList) history.back()
    else location.hash = ''
  }

  const showMe = () => $('#me').replaceChildren(avatar(chat.me()))
  const showUnread = () => {
    const total = chat.unread()
    document.title = total ? `(${total}) ${text('app')}` : text('app')
  }
  const showState = () => {
    const { state, error } = chat
    document.body.dataset.state = state
    for (const place of document.querySelectorAll('.link')) place.textContent = state === 'connecting' || state === 'waiting' ? text(state) : ''
    $('#refusal').hidden = state !== 'refused'
    if (state === 'refused') showRefusal(error)
  }
  const showRefusal = error => {
    $('#refusal p').textContent = explain(error)
    const word = error.word
    const button = $('#refusal button')
    if (word === 'unauthorized' || word === 'bad_code') return signInAgain(mode)
    button.textContent = text(word === 'replaced' ? 'use_here' : word === 'banned' ? 'sign_in_again' : 'connect_again')
    button.onclick = word === 'banned' ? () => leave() : () => chat.start()
  }

  chat.on('state', showState)
  chat.on('unread', showUnread)
  chat.on('users', showMe)
  chat.on('error', error => toast(explain(error)))
  window.onhashchange = ({ oldURL }) => {
    fromList = !new URL(oldURL).hash
    showOpenChat()
  }

  // The tab keeps what is unsent over a reload, and takes it along when it is closed.
  window.onbeforeunload = event => {
    if (chat.conversations().some(({ last }) => last?.state === 'sending')) event.preventDefault()
  }

  $('#me').onclick = showMyself
  $('#who').onclick = () => showUser(room.peer)
  $('#new-chat').onclick = $('#no-conversations button').onclick = newChat
  $('#back').onclick = backToList
  $('#more').onclick = event => {
    const box = event.currentTarget.getBoundingClientRect()
    showMenu({ x: box.right, y: box.bottom }, list.actions(room.peer))
  }
  $('#room').addEventListener('keydown', event => {
    if (event.key !== 'Escape' || event.isComposing || event.defaultPrevented) return
    if (narrow.matches) backToList()
    else list.focus()
  })

  $('#app').hidden = false
  showMe()
  showUnread()
  showState()
  showOpenChat()
}

function newChat() {
  const dialog = $('#new-chat-dialog')
  const field = $('#new-chat-openid')
  const problem = $('#new-chat-error')
  field.value = ''
  problem.textContent = ''
  openDialog(dialog, () => {
    const openid = field.value.trim()
    if (!isOpenid(openid)) {
      problem.textContent = text('bad_name')
      field.focus()
      return
    }
    dialog.close()
    location.hash = `#${openid}`
  })
  field.focus()
}
