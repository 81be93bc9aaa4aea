import Taro from '@tarojs/taro'
import installed, { createAdapter, createClient } from 'hongyan-sdk'
import { createNotices } from 'hongyan-sdk/notices'
import copied, { createClient as copiedClient } from './sdk/hongyan.mjs'

// The test hears of them by its double of the platform.
wx.hongyan({ createClient, copiedClient, installed, copied, createNotices, adapter: createAdapter(Taro) })

export default ({ children }) => children
