import installed, { createAdapter, createClient } from 'hongyan-sdk'
import { createNotices } from 'hongyan-sdk/notices'
import copied, { createClient as copiedClient } from './sdk/hongyan'

wx.hongyan({ createClient, copiedClient, installed, copied, createNotices, adapter: createAdapter(wx) })
