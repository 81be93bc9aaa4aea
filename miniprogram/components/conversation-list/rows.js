// What the list shows, made of what the SDK has and of drafts.
const words = require('../../i18n/index')
const { shortTime } = require('../../utils/time')
const { fill } = require('../../utils/words')
const { nameOf } = require('../../utils/people')
const { textOf } = require('../../utils/messages')

// A row has one line.
const LONGEST_SUMMARY = 80
const MOST_COUNTED = 99

/**
 * Those that are pinned before the others. The first so many, or those from `first` on, as a list of thousands is nothing for a screen: WeChat draws 15 999 elements and then no more.
 * @param {import('../../sdk/hongyan').Client} chat
 * @param {number} end
 * @param {number} now
 * @param {Array<import('../../utils/drafts').Draft>} [drafts] a chat goes up where one was written, and one with nobody yet is in the list
 * @param {number} [first]
 */
function conversationRows(chat, end, now, drafts = [], first = 0) {
  const written = new Map(drafts.map((draft) => [draft.peer, draft]))
  const conversations = chat.conversations().map((each) => {
    const draft = written.get(each.peer)
    written.delete(each.peer)
    return { ...each, draft: draft ? draft.text : '', at: Math.max(each.updated_at, draft ? draft.at : 0), isStored: true }
  })
  written.forEach(({ peer, text, at }) => {
    conversations.push({ peer, last: undefined, read_seq: 0, unread: 0, muted: false, pinned: false, updated_at: at, typing: false, draft: text, at, isStored: false })
  })
  if (drafts.length) conversations.sort((one, other) => other.at - one.at)
  const shown = [...conversations.filter(({ pinned }) => pinned), ...conversations.filter(({ pinned }) => !pinned)]
  return shown.slice(first, end).map((each) => rowOf(chat, each, now))
}

/** @type {(chat: any, conversation: any, now: number) => any} */
function rowOf(chat, { peer, last, unread, muted, pinned, at, typing, draft, isStored }, now) {
  const user = chat.user(peer)
  const name = nameOf(user)
  const summary = lineOf(draft || (last ? textOf(last) : ''))
  const time = at ? shortTime(at, now, words.time) : ''
  const spoken = [
    name, pinned ? words.list.pinned : '', muted ? words.list.muted : '', unread ? fill(words.list.unread, { count: unread }) : '', draft ? `${words.list.draft} ${summary}` : summary, time,
  ]
  return {
    key: peer,
    name,
    avatar: user.avatar,
    draft: !!draft,
    summary,
    mark: !draft && last && (last.state === 'failed' || last.state === 'sending') ? last.state : '',
    time,
    unread: unread > MOST_COUNTED ? `${MOST_COUNTED}+` : unread ? String(unread) : '',
    muted,
    pinned,
    typing,
    isStored,
    label: spoken.filter(Boolean).join(', '),
  }
}

// No more is looked at than a line can have: a message may be as long as a book.
const lineOf = (text) => Array.from(text.slice(0, 4 * LONGEST_SUMMARY).replace(/\s+/g, ' ').trim()).slice(0, LONGEST_SUMMARY).join('')

module.exports = { conversationRows }
