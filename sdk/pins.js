/** Which chats stand before the others. That they do is in `conversations`; the server tells it with them. */

/** @type {import('./hongyan').Part<import('./extras').PinCalls>} */
export const pins = ({ client, rowOf }) => ({
  async setPinned(peer, pinned) {
    await client.call('PUT', `/v1/conversations/${rowOf(peer).peer}/settings`, { pinned })
  },
})
