/**
 * hongyan 鸿雁: notices for a user who is away, in mini-programs.
 *
 * WeChat calls them subscribe messages, and each of them needs a yes of the user's: one prompt that they accept is one notice. This asks them at good
 * moments, tells the server of each yes, and knows how many there are left.
 *
 *     const chat = createClient({ url, parts: [notices] })
 *     // In the handler of a tap:
 *     chat.notices.ask()
 *
 * `createNotices(chat, options)` gives the same for a client that is there already.
 */
import type { Client, Part } from './hongyan'

export interface Options {
  /** What is remembered stands under this name in the storage. Default `hongyan.notices`. */
  storageKey?: string
  /** For tests: the time in ms. */
  now?(): number
  /** Of the platform, or something like it. */
  wx?: unknown
}

/** By the clock on the wall: from 22:00 to 08:00 goes over midnight, and from 08:00 to 08:00 is no time at all. */
export interface Hours {
  from: string
  to: string
}
export interface Quiet extends Hours {
  utc_offset_minutes: number
}

export interface NoticesState {
  /** The server sends notices. */
  available: boolean
  /** How many it could send before it needs another yes. */
  left: number
  /**
   * What WeChat does when it is asked: `ask` the user; `always` yes without asking, as they told it to; `never`: they told it so, or switched off all
   * messages of this mini-program. `wx.openSetting({ withSubscriptions: true })` leads them to where they can change that.
   */
  choice: 'ask' | 'always' | 'never'
  /** When no notice goes out. */
  quiet: Quiet | null
  /** Why WeChat refused to ask, in its own words: for developers. */
  error: string
}

export interface Notices {
  /**
   * Asks the user, where that is a good moment: few are left, they were not asked today, and have not said no in the last week. Where WeChat says yes
   * without asking them, it may be called as often as there is a tap.
   * Call it in the handler of a tap, before anything is awaited; else WeChat refuses. Never rejects. Settles when the prompt is closed, and at
   * once where none is shown.
   * `isWanted`: they asked for it themselves, by a button for this.
   */
  ask(options?: { isWanted?: boolean }): Promise<void>
  state(): NoticesState
  /** Asks the server and WeChat anew, as is done by itself with every connection: after the user was in the settings. */
  refresh(): Promise<void>
  /** The same hour twice: at any time. Null: as it is for all who have said nothing, which is a setting of the server. */
  setQuiet(hours: Hours | null): Promise<void>
  /** `state` is other than before. */
  on(event: 'change', run: () => void): () => void
}

export function createNotices(chat: Client, options?: Options): Notices

/** A part for `createClient`. */
export const notices: Part<{ notices: Notices }>

/** The same by one name. */
declare const all: { createNotices: typeof createNotices; notices: typeof notices }
export default all
