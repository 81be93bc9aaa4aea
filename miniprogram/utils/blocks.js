// Whom the user blocks, as the server has it.

/** @typedef {import('../sdk/hongyan').Client} Client */

const PAGE = 100

/**
 * All of them: the server takes 1 000, which are ten pages.
 * @param {Client} chat
 * @returns {Promise<string[]>}
 */
async function blockedPeople(chat) {
  const openids = []
  let cursor = ''
  do {
    const { blocks, next_cursor } = await chat.call('GET', `/v1/blocks?limit=${PAGE}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`)
    blocks.forEach(({ openid }) => openids.push(openid))
    cursor = next_cursor
  } while (cursor)
  return openids
}

/** @param {Client} chat @param {string} openid */
const isBlocked = async (chat, openid) => (await blockedPeople(chat)).includes(openid)

/** @param {Client} chat @param {string} openid @param {boolean} on */
const setBlocked = (chat, openid, on) => chat.call(on ? 'PUT' : 'DELETE', `/v1/blocks/${openid}`)

module.exports = { blockedPeople, isBlocked, setBlocked }
