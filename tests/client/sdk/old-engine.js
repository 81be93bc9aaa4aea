'use strict'

/**
 * Loaded before a test, it makes this engine as old as those that the shipped files must run in: to them, what came into the language after 2018 is
 * not there. Tests, and what they load, have it still.
 */

const NEWER = [
  [Object, 'fromEntries', 'hasOwn', 'groupBy'],
  [Array, 'fromAsync'],
  [Array.prototype, 'flat', 'flatMap', 'at', 'findLast', 'findLastIndex', 'toReversed', 'toSorted', 'toSpliced', 'with'],
  [String.prototype, 'trimStart', 'trimEnd', 'trimLeft', 'trimRight', 'matchAll', 'replaceAll', 'at', 'isWellFormed', 'toWellFormed'],
  [Promise, 'allSettled', 'any', 'withResolvers', 'try'],
  [globalThis, 'structuredClone', 'queueMicrotask', 'BigInt', 'WeakRef', 'FinalizationRegistry', 'AggregateError', 'AbortController', 'TextEncoder', 'TextDecoder', 'URL', 'URLSearchParams', 'setImmediate', 'Buffer'],
]

/** Whether a shipped file is what asks: the first caller outside this file. */
function isShipped() {
  const caller = new Error().stack.split('\n').find((line, i) => i > 0 && !line.includes(__filename))
  return /\/miniprogram\/(?!.*\/node_modules\/)/.test(caller || '')
}

for (const [owner, ...names] of NEWER) {
  for (const name of names) {
    const property = Object.getOwnPropertyDescriptor(owner, name)
    if (!property) continue
    const given = property.get ? property.get.call(owner) : property.value
    let value = given
    Object.defineProperty(owner, name, {
      configurable: true,
      enumerable: property.enumerable,
      get: () => (isShipped() ? undefined : value),
      set: other => (value = other),
    })
  }
}
