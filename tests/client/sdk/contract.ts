/** Is only compiled: the calls of a page, so that the contract can be used as it says. */

import { createAdapter, createClient, type ChatError, type Conversation, type Core, type Message, type State } from '../../../miniprogram/sdk/hongyan'
import { extras, type Presence } from '../../../miniprogram/sdk/extras'
import { createNotices, notices as noticesPart, type Quiet } from '../../../miniprogram/sdk/notices'

export async function page(): Promise<unknown[]> {
  const chat = createClient({ url: 'https://chat.example.com', adapter: createAdapter(wx), pageSize: 20 })
  const off: () => void = chat.on('messages', ({ peer }) => chat.messages(peer))
  chat.on('state', ({ state, error }: { state: State; error?: ChatError }) => error && error.word + state)
  chat.on('unread', ({ total }) => total.toFixed())
  chat.on('incoming', ({ message }) => message.peer)
  chat.start()
  const sent: Message = chat.send('oPeer', 'hello', { type: 'card', extra: { size: 7 } })
  const list: Conversation[] = chat.conversations()
  await chat.open('oPeer')
  const isBack: boolean = chat.cancel('oPeer', sent.client_msg_id)
  await chat.recall('oPeer', sent.seq)
  await chat.setMuted('oPeer', !list[0].muted)
  const blocks: { blocks: unknown[] } = await chat.call('GET', '/v1/blocks')
  const notices = createNotices(chat)
  notices.on('change', () => notices.state().left.toFixed() + notices.state().choice)
  await notices.ask({ isWanted: true })
  await notices.setQuiet({ from: '22:00', to: '08:00' })
  const quiet: Quiet | null = notices.state().quiet
  // @ts-expect-error: no such event
  chat.on('message', () => {})
  off()
  return [...list, blocks, quiet, isBack]
}

/** A part, and what a client has by two of them. */
const counter = ({ client, rowOf }: Core) => ({ count: (peer: string) => rowOf(peer).window.length + client.unread() })
export function withParts(): number {
  const chat = createClient({ url: 'https://chat.example.com', parts: [noticesPart, counter] })
  chat.notices.ask().then(() => chat.notices.state().left)
  // @ts-expect-error: a peer is a string
  chat.count(7)
  // @ts-expect-error: no part has it
  chat.presence()
  const withExtras = createClient({ url: 'https://chat.example.com', parts: [extras] })
  withExtras.watchPresence(['oPeer'])
  void withExtras.setPinned('oPeer', !withExtras.conversations()[0].pinned)
  const seen: Presence = withExtras.presence('oPeer')
  withExtras.on('presence', ({ peers }) => peers.map(peer => withExtras.presence(peer).last_seen === seen.last_seen))
  withExtras.on('messages', ({ peer }) => withExtras.messages(peer))
  // @ts-expect-error: no part has been added
  createClient({ url: 'https://chat.example.com' }).notices
  // @ts-expect-error: no part
  createClient({ url: 'https://chat.example.com', parts: ['notices'] })
  return chat.count('oPeer')
}
