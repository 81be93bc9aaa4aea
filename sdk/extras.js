/**
 * hongyan 鸿雁: what not every chat needs. What it does stands in extras.d.ts.
 */
import { pins } from './pins.js'
import { presence } from './presence.js'

/** @type {typeof import('./extras').extras} */
const extras = core => ({ ...pins(core), ...presence(core) })

export { extras }
