// Subscribe messages: the prompt, and what the user told WeChat to keep to.
import { api, element, pressable } from './tools.js'
import { settings } from './settings.js'
import { gesture } from './space.js'
import { openSheet, sayNo } from './wx-dialogs.js'

const KEPT = 'host:subscriptions'
const kept = () => ({ mainSwitch: true, itemSettings: {}, ...JSON.parse(localStorage.getItem(KEPT) || '{}') })
const keep = (change) => localStorage.setItem(KEPT, JSON.stringify({ ...kept(), ...change }))

/** `globalThis.hostSubscribed` is a test's: it tells WeChat of each yes. */
const tell = async (said) => {
  for (const [id, word] of Object.entries(said)) if (word === 'accept') await globalThis.hostSubscribed?.(id)
}

function prompt(tmplIds, settle) {
  const english = settings.language.startsWith('en')
  const always = Object.assign(element('input'), { type: 'checkbox' })
  const label = element('label')
  label.append(always, english ? 'Always keep this choice' : '总是保持以上选择，不再询问')
  const answer = (word) => () => {
    close()
    const said = Object.fromEntries(tmplIds.map((id) => [id, word]))
    if (always.checked) keep({ itemSettings: { ...kept().itemSettings, ...said } })
    settle(said)
  }
  const close = openSheet(
    element('header', '', (english ? 'Messages of this mini-program: ' : '申请发送以下消息：') + tmplIds.join(', ')),
    label,
    pressable('confirm', english ? 'Allow' : '允许', answer('accept')),
    pressable('cancel', sayNo(), answer('reject')),
  )
}

export const subscribe = {
  requestSubscribeMessage: api('requestSubscribeMessage', ({ tmplIds }, done, fail) => {
    if (!gesture.tap) return fail('can only be invoked by user TAP gesture.', { errCode: 20000 })
    const { mainSwitch, itemSettings } = kept()
    if (!mainSwitch) return fail('The main switch is switched off', { errCode: 20004 })
    const settle = (said) => { tell(said).then(() => done(said)) }
    const asked = tmplIds.filter((id) => !itemSettings[id])
    const known = Object.fromEntries(tmplIds.filter((id) => itemSettings[id]).map((id) => [id, itemSettings[id]]))
    if (asked.length) prompt(asked, (said) => settle({ ...known, ...said }))
    else settle(known)
  }),
  getSetting: api('getSetting', ({ withSubscriptions }, done) => done({ authSetting: {}, ...(withSubscriptions && { subscriptionsSetting: kept() }) })),
  // As if they had put everything back there.
  openSetting: api('openSetting', ({ withSubscriptions }, done) => {
    keep({ mainSwitch: true, itemSettings: {} })
    done({ authSetting: {}, ...(withSubscriptions && { subscriptionsSetting: kept() }) })
  }),
}
