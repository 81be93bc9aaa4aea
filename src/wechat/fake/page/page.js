/** Asks the double what happened, and shows it: the newest first. */

/** As many of each kind as the double keeps. */
const KEPT = 300
/** So long the double holds a question back while nothing happens. */
const WAIT_MS = 20_000
const TRY_AGAIN_MS = 1_000

const element = id => document.getElementById(id)
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false })

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
    find('.name').textContent = call ?? 'told the server'
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
    find('.to').textContent = `to ${to}`
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

function say(state, words) {
  element('state').dataset.state = state
  if (element('state').textContent !== words) element('state').textContent = words
}

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
      newest = entry.n
    }
    for (const none of document.querySelectorAll('.none')) {
      none.hidden = none.parentElement.querySelector('tbody, ol').children.length > 0
    }
    say('live', 'live')
  } catch {
    say('away', 'not running')
    await new Promise(resolve => setTimeout(resolve, TRY_AGAIN_MS))
  }
}
