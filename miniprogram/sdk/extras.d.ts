// Made of sdk/extras.d.ts by scripts/sdk-modules: change that one.
/**
 * hongyan 鸿雁: what not every chat needs.
 *
 *     const chat = createClient({ url, parts: [extras] })
 *     chat.watchPresence(['oBob'])
 *     chat.on('presence', ({ peers }) => peers.map(peer => chat.presence(peer).state))
 */
import type { Part } from './hongyan'

export interface Presence {
  /** `unknown` without a connection, too, and of all who show nobody, or not this user, whether they are there. */
  state: 'foreground' | 'background' | 'away' | 'unknown'
  /** Of one who is `away` and was seen once: when, in ms, rounded down to five minutes. */
  last_seen?: number
}

export interface PresenceCalls {
  /**
   * Watches these from now on, 200 at most, and nobody else: the chat that is open and the rows on the screen. It is told by the event `presence`, and
   * goes on after each reconnect. Throws `bad_request` where one of them can be no user.
   */
  watchPresence(peers: string[]): void
  /** What is known now of one who is watched. */
  presence(peer: string): Presence
  /** What is known of these is other than before. */
  on(event: 'presence', run: (detail: { peers: string[] }) => void): () => void
}

export interface PinCalls {
  /**
   * Before the others, on all devices of the user, which `conversations` tells. Rejects with `bad_request` where it can be no user, with `not_found`
   * where there is no conversation yet, and with `too_large` where as many are pinned as may be: 20, unless the operator says otherwise.
   */
  setPinned(peer: string, pinned: boolean): Promise<void>
}

/** A part for `createClient`. */
export const extras: Part<PresenceCalls & PinCalls>

/** The same by one name. */
declare const all: { extras: typeof extras }
export default all
