/** Asks the double what happened, and shows it: the newest first. */

/** As many of each kind as the double keeps. */
const KEPT = 300
/** So long the double holds a question back while nothing happens. */
const WAIT_MS = 20_000
const TRY_AGAIN_MS = 1_000

const zh = {
  title: '微信替身',
  purpose: '开发时由它代替微信应答。',
  asked: '微信收到的请求',
  no_calls: '还没有请求。登录或发一条消息，就会出现在这里。',
  at: '时间',
  call: '调用',
  user: '用户',
  what: '内容',
  answer: '结果',
  shown: '手机上会显示的提醒',
  no_notices: '还没有提醒。接受了模板的人离开一会儿之后，会收到一条。',
  told: '通知服务器',
  to: '发给 {name}',
  connecting: '连接中',
  live: '实时',
  away: '未在运行',
  other: 'English',
}

const en = {
  title: 'WeChat’s double',
  purpose: 'It answers for WeChat while you develop.',
  asked: 'What WeChat was asked',
  no_calls: 'Nothing yet. Log in, send a message, and it stands here.',
  at: 'At',
  call: 'Call',
  user: 'User',
  what: 'What',
  answer: 'Answer',
  shown: 'What phones would show',
  no_notices: 'No message yet. One comes when somebody who accepted the template was away for a while.',
  told: 'told the server',
  to: 'to {name}',
  connecting: 'connecting',
  live: 'live',
  away: 'not running',
  other: '中文',
}

/** The language that was chosen here, or else the browser's. */
const LANGUAGE = 'hongyan.double.language'
let language = localStorage.getItem(LANGUAGE) ?? (navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en')
const text = key => (language === 'zh' ? zh : en)[key]

const element = id => document.getElementById(id)
const clock = new Intl.DateTimeFormat('en', { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' })
/** Of each kind, the oldest first: all of it is shown anew in another language. */
const entries = { calls: [], notices: [] }

function stamp(time, at) {
  const date = new Date(at)
  time.textContent = clock.format(date)
  time.dateTime = date.toISOString()
}

/** Good, or worth a look, or bad. */
function kindOf(outcome) {
  if (/^(ok|pass|success)\b/.test(outcome)) return 'good'
  return /^(review|nobody)\b/.test(outcome) ? 'odd' : 'bad'
}

function addFirst(list, template, fill) {
  const added = element(template).content.cloneNode(true)
  const [root] = added.children
  fill(root, selector => root.querySelector(selector))
  list.prepend(added)
  while (list.children.length > KEPT) list.lastElementChild.remove()
}

function showCall({ kind, at, call, event, who, what, outcome }) {
  element('calls').closest('table').hidden = false
  addFirst(element('calls'), 'call', (row, find) => {
    row.dataset.kind = kind
    stamp(find('time'), at)
    find('.name').textContent = call ?? text('told')
    find('.who').textContent = who
    find('.what').textContent = what ?? event
    find('.outcome').textContent = outcome
    find('.outcome').dataset.is = kindOf(outcome)
  })
}

function showNotice({ at, to, template_id, page, data, link }) {
  addFirst(element('notices'), 'notice', (card, find) => {
    card.dataset.to = to
    stamp(find('time'), at)
    find('.to').textContent = text('to').replace('{name}', () => to)
    find('h3').textContent = template_id
    for (const [name, value] of data) {
      const [term, description] = ['dt', 'dd'].map(tag => document.createElement(tag))
      term.textContent = name
      description.textContent = value
      find('dl').append(term, description)
    }
    if (link) {
      const opens = document.createElement('a')
      Object.assign(opens, { href: link, target: '_blank', rel: 'noopener', textContent: page })
      find('.page').append(opens)
    } else if (page) {
      find('.page').textContent = page
    } else {
      find('.page').remove()
    }
  })
}

function show(entry) {
  if (entry.kind === 'notice') showNotice(entry)
  else showCall(entry)
}

function keep(entry) {
  const kind = entries[entry.kind === 'notice' ? 'notices' : 'calls']
  kind.push(entry)
  if (kind.length > KEPT) kind.shift()
}

function say(state) {
  element('state').dataset.state = state
  if (element('state').textContent !== text(state)) element('state').textContent = text(state)
}

function translate() {
  document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en'
  document.title = text('title')
  for (const each of document.querySelectorAll('[data-text]')) each.textContent = text(each.dataset.text)
  const other = element('language')
  other.textContent = text('other')
  other.lang = language === 'zh' ? 'en' : 'zh-CN'
  say(element('state').dataset.state)
  for (const [list, shown] of Object.entries(entries)) {
    element(list).replaceChildren()
    shown.forEach(show)
  }
}

element('language').onclick = () => {
  language = language === 'zh' ? 'en' : 'zh'
  localStorage.setItem(LANGUAGE, language)
  translate()
}
translate()

/** A double that was started anew counts from the beginning. */
let run
let newest = 0
for (;;) {
  try {
    const answer = await fetch(`/__journal?after=${newest}&wait=${run ? WAIT_MS : 0}`)
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`)
    const journal = await answer.json()
    if (run && run !== journal.run) location.reload()
    run = journal.run
    element('appid').textContent = `AppID ${journal.appid}`
    for (const entry of journal.entries) {
      show(entry)
      keep(entry)
      newest = entry.n
    }
    for (const none of document.querySelectorAll('.none')) {
      none.hidden = none.parentElement.querySelector('tbody, ol').children.length > 0
    }
    say('live')
  } catch {
    say('away')
    await new Promise(resolve => setTimeout(resolve, TRY_AGAIN_MS))
  }
}
