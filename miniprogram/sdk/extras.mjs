// Made of sdk/extras.js by scripts/sdk-modules: change that one.
/**
 * hongyan 鸿雁: what not every chat needs. What it does stands in extras.d.ts.
 */

// ---- pins.js

/** Which chats stand before the others. That they do is in `conversations`; the server tells it with them. */

/** @type {import('./hongyan').Part<import('./extras').PinCalls>} */
const pins = ({ client, rowOf }) => ({
  async setPinned(peer, pinned) {
    await client.call('PUT', `/v1/conversations/${rowOf(peer).peer}/settings`, { pinned })
  },
})

// ---- presence.js

/** Who is there. The server forgets with the socket whom it is to tell of, so it is told anew on each. */

/** It takes no more in one list. */
const MOST_WATCHED = 200

/** @type {import('./hongyan').Part<import('./extras').PresenceCalls>} */
const presence = ({ client, knows, frames, rowOf, listeners, emit, ask, after }) => {
  knows.push('presence')
  listeners.presence = new Set()
  let watched = []
  const known = new Map()
  let isAsking = false
  /** What is watched is other than what the server was told. */
  let isNews = false

  /** One question at a time: the server refuses a second one. */
  const watch = async () => {
    isNews = true
    if (isAsking) return
    isAsking = true
    while (isNews && client.state === 'online' && (client.features || []).includes('presence')) {
      isNews = false
      const { retry_after_ms: wait } = await ask({ type: 'presence', peers: watched }).catch(e => e)
      if (wait) {
        isNews = true
        await after(wait)
      }
    }
    isAsking = false
  }
  const forget = peers => {
    const gone = peers.filter(peer => known.delete(peer))
    if (gone.length) emit('presence', { peers: gone })
  }

  frames.presence = ({ peers }) => {
    // What was asked before may be answered now.
    const news = peers.filter(({ peer }) => watched.includes(peer))
    for (const { peer, state, last_seen } of news) known.set(peer, { state, last_seen })
    if (news.length) emit('presence', { peers: news.map(({ peer }) => peer) })
  }
  client.on('state', ({ state }) => {
    if (state !== 'online') forget([...known.keys()])
    else if (watched.length) watch()
  })
  return {
    watchPresence(peers) {
      watched = [...new Set(peers)].slice(0, MOST_WATCHED)
      watched.forEach(rowOf)
      forget([...known.keys()].filter(peer => !watched.includes(peer)))
      watch()
    },
    on: /** @type {any} */ (client.on),
    presence: peer => client.state === 'online' && known.get(peer) || { state: 'unknown' },
  }
}

// ---- extras.js


/** @type {typeof import('./extras').extras} */
const extras = core => ({ ...pins(core), ...presence(core) })

export { extras }
export default { extras }
