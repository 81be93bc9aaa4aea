/**
 * hongyan 鸿雁: chat for WeChat mini-programs and browsers.
 *
 * One client is one signed-in user on one device. It keeps their conversations, keeps what they write until the server has it, and tells what
 * changes. Nothing here is global: two clients with different `storageKey`s live side by side.
 *
 *     const { createClient } = require('./sdk/hongyan')
 *     const chat = createClient({ url: 'https://chat.example.com' })
 *     chat.on('messages', ({ peer }) => page.setData({ messages: chat.messages(peer) }))
 *     chat.start()
 *     chat.send('oPeer', 'hello')
 *
 * What not every app needs is a part, in a file of its own, that an app adds by name: `createClient({ url, parts: [notices] })`.
 */

/** Times are Unix milliseconds by the server's clock, but where said otherwise. */
type Time = number

export interface Options<Parts extends readonly Part<any>[] = readonly Part<any>[]> {
  /** Where the server is, without a path: `https://chat.example.com`. `http://` only while developing. */
  url: string
  /** What the platform gives. Default: `wx` where there is one, else the browser. */
  adapter?: Adapter
  /**
   * How to sign in. Default: `wx.login`, and its code to `POST /v1/login`. Give this one where your own backend signs tokens, or in a
   * browser. Called again before the token expires, and once when the server refuses it.
   */
  signIn?: (api: { login(code: string): Promise<Credentials> }) => Promise<Credentials>
  /**
   * Before the name of everything in the storage. Default `hongyan`. Where several people use one browser, give each a name of their own: when
   * another user signs in under the same one, what is here of the one before is forgotten. One client at a time has a name in a storage: a
   * second one, as in another tab, is the same device, and ends the session of the first (`refused`, `replaced`).
   */
  storageKey?: string
  /** How many messages of a conversation a page has, 1 to 100. Default 20. */
  pageSize?: number
  /** Parts, such as `notices`, in the order in which they are added: each gives the client further calls. */
  parts?: readonly [...Parts]
  /** For tests: the clock, in ms, by which retries and time-outs go. */
  clock?: Clock
}

export interface Credentials {
  openid: string
  token: string
  /** Seconds from now. A token that has ended goes to the server all the same, which refuses it as `unauthorized`. */
  expires_in: number
}

/**
 * What the SDK needs of a platform, for one client. `createAdapter(wx)` and `createBrowserAdapter()` are two; a third is about 60 lines.
 * A promise rejects where the network fails, and only there: every HTTP answer resolves. Nothing of a socket is told before `connect` has
 * returned.
 */
export interface Adapter {
  login(): Promise<string>
  request(request: { method: string; url: string; headers: Record<string, string>; body?: object }): Promise<{ status: number; body: any }>
  connect(socket: { url: string; token: string }, on: SocketEvents): Socket
  storage: { get(key: string): unknown; set(key: string, value: unknown): void; remove(key: string): void }
  /** Calls back when the app is hidden or shown, and when the network goes or comes; gives what stops that. */
  watch(on: { show(): void; hide(): void; online(): void; offline(): void }): () => void
}
export interface SocketEvents {
  open(): void
  message(text: string): void
  close(code: number, reason: string): void
}
export interface Socket {
  send(text: string): void
  close(code: number, reason: string): void
}
export interface Clock {
  now(): number
  setTimeout(run: () => void, ms: number): unknown
  random(): number
}

/**
 * - `stopped`: not started, or stopped
 * - `connecting`: signing in, opening the socket, or catching up
 * - `online`: all that the server has is here, and sends go out at once
 * - `waiting`: not connected; tries again by itself
 * - `refused`: does not try again by itself; `error` says why (kicked, banned, replaced by another window, wrong settings)
 */
export type State = 'stopped' | 'connecting' | 'online' | 'waiting' | 'refused'

/**
 * Of own messages: `sending` until the server has committed it, then `sent`, `delivered` to a device of the peer, `read` by the peer; or
 * `failed`, with `error`: it is kept, and `retry` sends it again under the same id. Of others' messages: `received`.
 */
export type MessageState = 'sending' | 'sent' | 'delivered' | 'read' | 'failed' | 'received'

export interface Message {
  /** Names this message for good, before and after its ack: a key for lists that begins with a letter. */
  key: string
  peer: string
  mine: boolean
  /** `text`, `image`, `voice`, `video`, `file`, `location`, `card`, `custom`, or what a plain client named it. */
  type: string
  message: string
  /** Further fields that the sender gave, such as a size or a name. */
  extra: Record<string, unknown>
  client_msg_id: string
  /** Its place in the conversation; 0 until acked. */
  seq: number
  /** When the server took it; until then, when it was written, by this device's clock. */
  sent_at: Time
  state: MessageState
  /** Recalled by its sender: `message` is empty. */
  recalled: boolean
  /** Why it has failed. */
  error?: { word: string; message: string; status?: number; retry_after_ms?: number }
}

export interface Conversation {
  peer: string
  /** The newest message, own unsent ones included, or where none is known the last recall; `undefined` where there is nothing to show. */
  last?: Message
  /** Up to here the user has read it, as far as is known here: before `open` it says where the new messages begin. */
  read_seq: number
  unread: number
  /** Its messages are not to disturb: the sum of `unread` leaves them out, and no notice goes out for them. */
  muted: boolean
  /** To be shown before the others: `conversations` does not order by it. */
  pinned: boolean
  /** For the order of a list, newest first. */
  updated_at: Time
  /** The peer is typing now. */
  typing: boolean
}

export interface User {
  openid: string
  /** Empty until set. */
  nickname: string
  /** A URL for an `<image>`, or empty. */
  avatar: string
}

/**
 * `word` is one of PROTOCOL.md's, or `offline`, `timeout`, `storage_full`, `domain_not_allowed`, `wrong_appid`, `server_clock`. `message` says what to do.
 * Every call refuses an argument that is none, such as a peer that is no openid, by `bad_request`, before anything is stored or sent: it throws,
 * and where it gives a promise, that rejects.
 */
export interface ChatError extends Error {
  word: string
  status?: number
  retry_after_ms?: number
}

export interface Events {
  state: { state: State; error?: ChatError; retryAt?: number }
  /** The messages of this conversation are others than before. */
  messages: { peer: string }
  /** The list, an unread count, or who is typing is other than before. */
  conversations: { total: number }
  /** The sum of all unread messages, muted conversations left out: for a badge. */
  unread: { total: number }
  /** Names or avatars came. */
  users: { openids: string[] }
  /** Came from the peer just now, live: for a sound or a toast. Not for what was missed while away. */
  incoming: { message: Message }
  error: ChatError
}

export interface Client {
  readonly openid: string
  readonly state: State
  /** Why the state is what it is, where it is `waiting` or `refused`. */
  readonly error?: ChatError
  /**
   * What the server has of what not every server has, by PROTOCOL.md's names: a part of the SDK asks it before it stores anything, and throws
   * `not_supported`. Undefined until the server has said it, which it does at each connection.
   */
  readonly features?: readonly string[]

  /** Signs in and connects, and stays connected. Cached conversations are there at once, before anything was fetched. */
  start(): void
  /** Closes the socket. What was not acked stays in the storage and goes out after the next `start`. */
  stop(): void
  /**
   * Ends this token on the server, and forgets everything of this user on this device. Until the next `start` nothing signs in again: calls
   * that would need it reject with `offline`, and so do those that were under way.
   */
  signOut(): Promise<void>

  on<E extends keyof Events>(event: E, run: (detail: Events[E]) => void): () => void

  /** All of them, newest first: the first sync of a device brings the whole list, with the last message of each. */
  conversations(): Conversation[]
  /** Asks the server anew, for pull to refresh. Rejects with `offline` where there is no connection, and hurries to make one. */
  refresh(): Promise<void>
  unread(): number
  /** Clears this user's own view of it, and what failed or waits to be sent; the peer keeps theirs. It stays pinned where it is. */
  removeConversation(peer: string): Promise<void>
  /** On all devices of the user, which `conversations` tells. Rejects with `not_found` where there is no conversation yet. */
  setMuted(peer: string, muted: boolean): Promise<void>

  /** What is known of it, oldest first, without holes: own unsent messages stand at the end. */
  messages(peer: string): Message[]
  hasOlder(peer: string): boolean
  loadOlder(peer: string): Promise<void>
  /**
   * This chat is on screen now: its page is loaded, what comes is read. One at a time. Rejects where the page cannot be fetched; what is
   * cached is shown all the same, and the rest comes when the connection is back.
   */
  open(peer: string): Promise<void>
  /** No chat is on screen. */
  leave(): void

  /**
   * Gives the message as it stands in the list, `sending`. Never throws for the network: it goes out when it can. One message of a
   * conversation is on its way at a time, so that retries keep the order. `extra` travels along.
   * Throws `bad_request`, `too_large` and `storage_full`, for these no later try would mend.
   */
  send(peer: string, message: string, more?: { type?: string; extra?: Record<string, unknown> }): Message
  /** Sends a `failed` message again. One that the server had refused can be taken back by `cancel` until it goes out. */
  retry(peer: string, client_msg_id: string): void
  /** Forgets a `failed` message. */
  discard(peer: string, client_msg_id: string): void
  /**
   * Takes a message back that waits to be sent, for good: it is gone from the list and from the storage. False where it was on a socket already,
   * for then the server may have stored it: `recall` takes it back once it is `sent`.
   */
  cancel(peer: string, client_msg_id: string): boolean
  /** Own messages, within the server's time (two minutes by default). Rejects with `recall_expired` afterwards. */
  recall(peer: string, seq: number): Promise<void>
  /** The user is typing: call it on every key. It passes on the first one after a message or in another chat, then one every three seconds. */
  typing(peer: string): void

  /** What is known of this user now; asks the server where nothing is, and tells `users` when it came. */
  user(openid: string): User
  me(): User
  /** `avatar`: JPEG, PNG or WebP of at most 32 KiB, as base64. Rejects with `bad_request` and what is wrong with it. */
  setProfile(profile: { nickname?: string; avatar?: string }): Promise<User>

  /** A call of the server's HTTP, with this user's token: for what has no word here. Rejects with a ChatError. */
  call(method: string, path: string, body?: unknown): Promise<any>
}

/**
 * A part of the SDK: run once for each client that it is added to, it gives the calls that the client has by it. A call of a name that is there
 * already takes its place.
 */
export type Part<Calls extends object> = (core: Core) => Calls
/** The calls of several parts. */
export type CallsOf<Parts> = Parts extends readonly [Part<infer Calls>, ...infer Others] ? Calls & CallsOf<Others> : {}

/**
 * What a part has to build on. It is made for the parts of this release, and may be another in the next one: an app that keeps to `Client` is not
 * concerned.
 */
export interface Core {
  /** As it is so far: with its own calls, and those of the parts before. */
  client: Client
  /** What is done with a frame, by its type: a part adds its own, or puts one around what is there. `row` is of the peer that the frame names, or false. */
  frames: Record<string, (frame: any, row: Row | false, isOwn: boolean) => void>
  /** What the handshake says that this client knows, by PROTOCOL.md's names of `features`: a part adds its own. */
  knows: string[]
  /** Sends a frame, and gives the one that answers. Rejects with `offline` where there is no connection. */
  ask(frame: object): Promise<any>
  /** What is known of a conversation. Throws `bad_request` where that can be no peer. */
  rowOf(peer: string): Row
  /** What pages show of a conversation, or of the list, is other than before: they are told, and it is stored. */
  changed(row?: Row): void
  /** By event: a part adds a Set for each of its own, and `client.on` takes it. */
  listeners: Record<string, Set<(detail: any) => void>>
  emit(event: string, detail: unknown): void
  /** From the storage, under the client's `storageKey`; `otherwise` where there is nothing that can be read. */
  load<T>(name: string, otherwise?: T): T | undefined
  /** Falsy where there was no room. Without a value, what is there goes. */
  store<T>(name: string, value?: T): T | false
  /** Waits so many milliseconds, by the client's clock. */
  after(ms: number): Promise<void>
}
/** A conversation: events with rising seqs and without a hole, ending at `to`, and own messages that are not among them yet. */
export interface Row {
  readonly peer: string
  readonly window: readonly any[]
  readonly outbox: readonly any[]
  readonly to: number
}

export function createClient<Parts extends readonly Part<any>[] = []>(options: Options<Parts>): Client & CallsOf<Parts>
/** Of `wx`, or of something like it. */
export function createAdapter(wx: unknown): Adapter
export function createBrowserAdapter(): Adapter
/** Whether this can be a user: for what came from a link or a field. */
export function isOpenid(value: unknown): value is string

/** The same by one name: `import hongyan from …`. */
declare const hongyan: {
  createClient: typeof createClient
  createAdapter: typeof createAdapter
  createBrowserAdapter: typeof createBrowserAdapter
  isOpenid: typeof isOpenid
}
export default hongyan
