// What is shown to people, in two languages. `{}` is where the argument goes.
const WORDS = {
  title: ['消息', 'Chats'],
  me: ['我', 'Me'],
  newChat: ['发起聊天', 'New chat'],
  peerHint: ['对方的 openid', 'Their openid'],
  open: ['打开', 'Open'],
  noChats: ['还没有聊天', 'No chats yet'],
  noChatsHint: ['输入对方的 openid，发出第一条消息', 'Enter an openid to write the first message'],
  noMessages: ['还没有消息', 'No messages yet'],
  removeChat: ['删除该聊天', 'Delete this chat'],
  removeChatHint: ['只删除你这一侧的聊天记录', 'Only your own view of it is deleted'],
  copy: ['复制', 'Copy'],
  recall: ['撤回', 'Recall'],
  resend: ['重新发送', 'Send again'],
  discard: ['删除', 'Delete'],
  copied: ['已复制', 'Copied'],
  linkCopied: ['链接已复制，请在浏览器中打开', 'Link copied: open it in a browser'],
  youRecalled: ['你撤回了一条消息', 'You recalled a message'],
  theyRecalled: ['对方撤回了一条消息', 'This message was recalled'],
  typing: ['对方正在输入…', 'Typing…'],
  delivered: ['已送达', 'Delivered'],
  read: ['已读', 'Read'],
  failed: ['发送失败', 'Not sent'],
  send: ['发送', 'Send'],
  write: ['说点什么', 'Message'],
  newMessages: ['{} 条新消息', '{} new messages'],
  newest: ['回到最新', 'Newest messages'],
  loading: ['正在加载…', 'Loading…'],
  beginning: ['没有更早的消息了', 'This is the beginning'],
  connecting: ['连接中…', 'Connecting…'],
  waiting: ['网络不可用，正在重试', 'No connection: trying again'],
  refused: ['已断开：{}', 'Disconnected: {}'],
  tapToConnect: ['点按重新连接', 'Tap to connect'],
  error_kicked: ['管理员结束了本次会话', 'the operator ended this session'],
  error_banned: ['该账号已被禁用', 'this account is banned'],
  error_replaced: ['已在别处打开', 'opened somewhere else'],
  error_domain_not_allowed: ['服务器域名未加入小程序后台的白名单', 'the server is not among the domains of this mini-program'],
  error_wrong_appid: ['服务器的 AppID 与本小程序不一致', 'the server has another AppID than this mini-program'],
  error_blocked: ['对方不接收你的消息', 'they take no messages from you'],
  error_too_large: ['消息太长', 'the message is too long'],
  error_recall_expired: ['发送超过两分钟的消息无法撤回', 'only messages of the last two minutes can be recalled'],
  error_storage_full: ['等待发送的消息太多', 'too many messages wait to be sent'],
  error_content_refused: ['内容不合规，未发送', 'the content was refused'],
  error_rate_limited: ['操作太频繁，请稍后再试', 'too fast: try again later'],
  error_offline: ['连不上服务器', 'the server is not reached'],
  yesterday: ['昨天', 'Yesterday'],
  image: ['[图片]', '[Image]'],
  voice: ['[语音]', '[Voice]'],
  video: ['[视频]', '[Video]'],
  file: ['[文件]', '[File]'],
  location: ['[位置]', '[Location]'],
  card: ['[名片]', '[Card]'],
  other: ['[不支持的消息]', '[Not shown here]'],
  profile: ['个人资料', 'Profile'],
  avatar: ['头像', 'Avatar'],
  nickname: ['昵称', 'Nickname'],
  nicknameHint: ['请输入昵称', 'Enter a nickname'],
  save: ['保存', 'Save'],
  saved: ['已保存', 'Saved'],
  avatarTooLarge: ['图片太大，请换一张', 'The image is too large: take another one'],
}
const WEEKDAYS = [
  ['星期日', '星期一', '星期二', '星期三', '星期四', '星期五', '星期六'],
  ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'],
]

let language

function number() {
  if (language === undefined) language = /^zh/i.test(wx.getAppBaseInfo().language || 'zh') ? 0 : 1
  return language
}

/** @param {string} name */
function t(name, argument = '') {
  const words = WORDS[name]
  return words ? words[number()].replace('{}', String(argument)) : name
}

/** What went wrong, for people: what is not known here says itself. */
function tError(error) {
  return WORDS['error_' + error.word] ? t('error_' + error.word) : error.message
}

/** @param {number} day */
const weekday = (day) => WEEKDAYS[number()][day]
const isChinese = () => number() === 0

module.exports = { t, tError, weekday, isChinese }
