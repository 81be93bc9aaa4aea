/**
 * hongyan 鸿雁: the SDK. What it does stands in hongyan.d.ts, here stands how. It runs as it stands in WeChat and in browsers of 2018 and later, so
 * there is no syntax newer than that.
 */
import { createBrowserAdapter } from './browser.js'
import { client } from './client/index.js'
import { isOpenid } from './grammar.js'
import { createAdapter } from './wechat.js'

/** @type {import('./hongyan').createClient} The modules in client/ run once for each call, with its `options`. */
const createClient = options => client

export { createClient, createAdapter, createBrowserAdapter, isOpenid }
