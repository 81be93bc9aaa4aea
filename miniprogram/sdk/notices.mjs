// Made of sdk/notices.js by scripts/sdk-modules: change that one.
/**
 * hongyan 鸿雁: notices for a user who is away, in mini-programs. What it does stands in notices.d.ts, here stands how.
 *
 * WeChat lets the server send one message for each time that the user said yes. So their yeses are a stock: it is filled here, where they are at hand,
 * and the server draws on it while they are not.
 */

// ---- notices.js

const DAY_MS = 24 * 60 * 60 * 1000
/** After a yes they are not asked again that day; after a no, not that week. */
const REST_MS = { yes: DAY_MS, no: 7 * DAY_MS }
/** So many chats may tell of themselves before they are back. */
const STOCK = 3
/** WeChat takes no more in one prompt. */
const MOST_TEMPLATES = 3

const noop = () => {}
/** @type {any} */
const NOTHING = { templates: [], grants: {}, quiet: null }
/** The same report again would be refused again. What was too fast, or came with a token that had ended, would not. */
const isFinal = ({ status }) => status >= 400 && status < 500 && status !== 401 && status !== 429

/** Another release, or another program, may have written there. */
const isWhole = ({ rest_until, reports }) => rest_until >= 0 && Array.isArray(reports) && reports.every(report => report && report.id && report.template_id)

/** @type {import('./notices').createNotices} */
function createNotices(chat, { storageKey = 'hongyan.notices', now = Date.now, wx: platform = wx } = {}) {
  const api = /** @type {any} */ (platform)
  const promised = (name, options) => new Promise((success, fail) => api[name]({ ...options, success, fail }))

  /** What the server said, and how often it could send. */
  let known = NOTHING
  /** What they told WeChat to keep to, by template; and whether it lets anything of this mini-program through. */
  let kept = {}
  let isOn = true
  /** Why WeChat showed no prompt. It would show none the next time either, until something has changed. */
  let error = ''
  let isAsking = false
  /** Until what there is to report has been reported. */
  let reporting = null

  // ---- what outlives the app: until when they are left alone, and what the server has not heard yet

  let memory = api.getStorageSync(storageKey) || {}
  /** Another user has another one. */
  function mine() {
    const { openid } = chat
    if (memory.openid !== openid || !isWhole(memory)) memory = { openid, rest_until: 0, reports: [] }
    return memory
  }
  function remember() {
    try {
      api.setStorageSync(storageKey, memory)
    } catch (e) {
      // There is no room: what is not remembered is told in this run, or not at all.
    }
  }

  // ---- the stock

  const isTold = id => mine().reports.filter(({ template_id, result }) => template_id === id && result === 'accept')
  const leftOf = ids => (ids.length ? Math.min(...ids.map(id => (known.grants[id] || 0) + isTold(id).length)) : 0)
  const open = () => (isOn ? known.templates.filter(id => !/reject|ban/.test(kept[id])).slice(0, MOST_TEMPLATES) : [])
  const isSilent = ids => ids.length > 0 && ids.every(id => kept[id] === 'accept')

  const listeners = new Set()
  const changed = () => listeners.forEach(run => run())

  /** Nothing may be awaited before the prompt: WeChat shows one in a tap only. */
  async function ask({ isWanted = false } = {}) {
    const tmplIds = open()
    const silent = isSilent(tmplIds)
    const isGood = !error && leftOf(tmplIds) < STOCK && (silent || now() >= mine().rest_until)
    if (isAsking || !tmplIds.length || !isWanted && !isGood) return
    isAsking = true
    const end = promised('requestSubscribeMessage', { tmplIds }).then(said => hear(tmplIds, said), fail)
    if (!silent) await end
  }
  function hear(ids, said) {
    isAsking = false
    const { reports } = mine()
    for (const template_id of ids) {
      // There are several kinds of yes, such as one with a sound.
      const [result] = /^(accept|reject|ban|filter)/.exec(said[template_id]) || []
      if (result) reports.push({ id: now().toString(36) + Math.random().toString(36).slice(2), template_id, result })
    }
    memory.rest_until = now() + (ids.some(id => said[id] === 'reject') ? REST_MS.no : REST_MS.yes)
    remember()
    // They may have told WeChat not to ask again.
    look().catch(noop)
    report()
  }
  function fail({ errMsg }) {
    isAsking = false
    error = errMsg
    changed()
  }

  function report() {
    if (!reporting && mine().reports.length) reporting = reportAll()
    return reporting
  }
  /** Each until the server has it. It counts an id once, so that one whose answer was lost may be told again. */
  async function reportAll() {
    const { reports } = mine()
    while (reports.length) {
      const [{ template_id, result }] = reports
      const refusal = await chat.call('POST', '/v1/notices/grants', reports[0]).then(noop, e => e)
      if (refusal && !isFinal(refusal)) break
      const { [template_id]: count = 0 } = known.grants
      // A no takes back what was said before.
      const counted = { accept: count + 1, reject: 0 }[result]
      if (!refusal && counted !== undefined) known = { ...known, grants: { ...known.grants, [template_id]: counted } }
      reports.shift()
      remember()
    }
    reporting = null
    changed()
  }

  // ---- what is known

  /** Of WeChat. */
  async function look() {
    const { subscriptionsSetting: { mainSwitch = true, itemSettings = {} } = {} } = await promised('getSetting', { withSubscriptions: true })
    isOn = mainSwitch
    kept = itemSettings
    error = ''
    changed()
  }
  async function refresh() {
    // Else one that is under way might be counted twice.
    await report()
    known = await chat.call('GET', '/v1/notices').catch(e => {
      if (e.status !== 404) throw e
      return NOTHING
    })
    await look()
  }
  function follow() {
    if (chat.state === 'online') refresh().catch(noop)
    // Signed out: nothing of them stays.
    if (chat.openid) return
    known = NOTHING
    api.removeStorageSync(storageKey)
    changed()
  }
  chat.on('state', follow)
  if (chat.state === 'online') follow()

  return {
    ask,
    refresh,
    state: () => ({
      available: known.templates.length > 0,
      left: leftOf(known.templates),
      choice: !open().length ? 'never' : isSilent(open()) ? 'always' : 'ask',
      quiet: known.quiet,
      error,
    }),
    async setQuiet(hours) {
      // Where this phone is.
      const quiet = hours && { from: hours.from, to: hours.to, utc_offset_minutes: -new Date(now()).getTimezoneOffset() }
      // What wx.request makes of null, nobody says; to the server nothing is as good.
      await chat.call('PUT', '/v1/notices/quiet', quiet || {})
      known = { ...known, quiet }
      changed()
    },
    on(event, run) {
      listeners.add(run)
      return () => listeners.delete(run)
    },
  }
}

/** @type {typeof import('./notices').notices} */
const notices = ({ client }) => ({ notices: createNotices(client) })

export { createNotices, notices }
export default { createNotices, notices }
