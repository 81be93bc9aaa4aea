/** All words that people read, in both languages, and who says what of an error. */

const zh = {
  app: '鸿雁',
  sign_in: '登录',
  sign_in_name: '以谁的身份登录',
  sign_in_name_hint: '这是开发服务器：任何名字都可以，不需要密码。再开一个标签页，用另一个名字登录，就可以互相聊天。',
  sign_in_token: '登录令牌',
  sign_in_token_hint: '令牌由服务器的管理者发放。它只保存在这个标签页里。',
  bad_name: '名字由 1 至 64 个字母、数字、“_”或“-”组成，且不能是“v1”等服务器自用的词。',
  token_malformed: '这不是完整的令牌。请重新复制整个令牌再粘贴。',
  token_expired: '令牌已过期。请换一个新的。',
  token_refused: '服务器不接受这个令牌：它可能已被注销，或者属于另一台服务器。请换一个新的。',
  no_server: '连不上服务器。请检查网络，然后刷新页面。',
  chats: '聊天列表',
  room: '聊天',
  new_chat: '发起聊天',
  no_chats: '还没有聊天',
  choose_a_chat: '选一个聊天，或发起新的聊天',
  openid_of_the_other: '对方的 openid',
  chat: '开始聊天',
  cancel: '取消',
  back: '返回',
  more: '更多',
  write: '输入消息',
  send: '发送',
  loading: '加载中',
  load_again: '加载失败，点击重试',
  connecting: '连接中…',
  waiting: '未连接，正在重试…',
  typing: '对方正在输入…',
  new_messages: '{n} 条新消息',
  unread: '{n} 条未读',
  me: '我',
  says: '{name}说：',
  sending: '发送中',
  sent: '已发送',
  delivered: '已送达',
  read: '已读',
  failed: '发送失败',
  retry: '重新发送',
  copy: '复制',
  copied: '已复制',
  not_copied: '浏览器不允许复制。请用 https 打开此页面。',
  recall: '撤回',
  discard: '删除',
  you_recalled: '你撤回了一条消息',
  they_recalled: '“{name}”撤回了一条消息',
  type_image: '[图片]',
  type_voice: '[语音]',
  type_video: '[视频]',
  type_file: '[文件]',
  type_location: '[位置]',
  type_card: '[名片]',
  unknown_type: '[消息]',
  mute: '消息免打扰',
  unmute: '取消免打扰',
  muted: '已免打扰',
  delete_chat: '删除聊天',
  delete_chat_text: '与“{name}”的聊天记录将从你这里清空，对方的不受影响。',
  profile: '个人资料',
  nickname: '昵称',
  change_avatar: '更换头像',
  quiet_hours: '免打扰时段',
  quiet_from: '从',
  quiet_to: '到',
  no_hours: '请填写起止时间。',
  quiet_hint: '在此时段内，微信不会提醒你有新消息。',
  save: '保存',
  saved: '已保存',
  sign_out: '退出登录',
  sign_out_text: '这台设备上的聊天记录和未发出的消息会被清除，服务器上的记录保留。',
  nickname_too_long: '昵称最多 32 个字符。',
  no_image: '无法读取这张图片。请选择 JPEG、PNG 或 WebP 图片。',
  yesterday: '昨天',
  use_here: '在此使用',
  connect_again: '重新连接',
  sign_in_again: '重新登录',
  error_offline: '没有网络。恢复后会自动重试。',
  error_timeout: '服务器没有回应。请稍后再试。',
  error_unavailable: '服务器暂时繁忙。请稍后再试。',
  error_wechat_unavailable: '暂时无法登录。请稍后再试。',
  error_rate_limited: '操作太频繁。请稍后再试。',
  error_storage_full: '未发出的消息太多，本机存不下了。请等它们发出后再试。',
  error_too_large: '内容太长。请分成几条发送。',
  error_blocked: '对方拒收了你的消息。',
  error_content_refused: '内容不被允许。请修改后再试。',
  error_recall_expired: '发送时间太久，不能撤回了。',
  error_not_found: '找不到这条消息。',
  error_unauthorized: '登录已失效。请重新登录。',
  error_bad_code: '登录没有成功。请重新登录。',
  error_replaced: '此账号已在另一个窗口中使用。',
  error_kicked: '你已被管理者断开连接。',
  error_server_clock: '这台设备的时间与服务器相差几分钟。请校准时间。',
  error_banned: '此账号已被停用。请联系管理者。',
}

const en = {
  app: 'Hongyan',
  sign_in: 'Sign in',
  sign_in_name: 'Sign in as',
  sign_in_name_hint: 'This is a development server: any name will do, there is no password. Open another tab and sign in with another name to chat.',
  sign_in_token: 'Token',
  sign_in_token_hint: 'You get a token from whoever runs this server. It is kept in this tab only.',
  bad_name: 'A name has 1 to 64 letters, digits, “_” or “-”. Words of the server’s own, such as “v1”, are none.',
  token_malformed: 'This is not a whole token. Copy all of it and paste it again.',
  token_expired: 'This token has expired. Ask for a new one.',
  token_refused: 'The server does not take this token: it was revoked, or belongs to another server. Ask for a new one.',
  no_server: 'The server cannot be reached. Check the network, then reload this page.',
  chats: 'Chats',
  room: 'Chat',
  new_chat: 'New chat',
  no_chats: 'No chats yet',
  choose_a_chat: 'Choose a chat, or start a new one',
  openid_of_the_other: 'The other person’s openid',
  chat: 'Chat',
  cancel: 'Cancel',
  back: 'Back',
  more: 'More',
  write: 'Message',
  send: 'Send',
  loading: 'Loading',
  load_again: 'Not loaded. Try again',
  connecting: 'Connecting…',
  waiting: 'Not connected, trying again…',
  typing: 'Typing…',
  new_messages: '{n} new',
  unread: '{n} unread',
  me: 'I',
  says: '{name}: ',
  sending: 'Sending',
  sent: 'Sent',
  delivered: 'Delivered',
  read: 'Read',
  failed: 'Not sent',
  retry: 'Send again',
  copy: 'Copy',
  copied: 'Copied',
  not_copied: 'The browser does not allow copying. Open this page by https.',
  recall: 'Recall',
  discard: 'Delete',
  you_recalled: 'You recalled a message',
  they_recalled: '“{name}” recalled a message',
  type_image: '[Photo]',
  type_voice: '[Voice]',
  type_video: '[Video]',
  type_file: '[File]',
  type_location: '[Location]',
  type_card: '[Contact card]',
  unknown_type: '[Message]',
  mute: 'Mute',
  unmute: 'Unmute',
  muted: 'Muted',
  delete_chat: 'Delete chat',
  delete_chat_text: 'Your side of the chat with “{name}” is cleared. The other side stays as it is.',
  profile: 'Profile',
  nickname: 'Nickname',
  change_avatar: 'Change photo',
  quiet_hours: 'Quiet hours',
  quiet_from: 'From',
  quiet_to: 'To',
  no_hours: 'Fill in both times.',
  quiet_hint: 'At these hours WeChat tells you of no new messages.',
  save: 'Save',
  saved: 'Saved',
  sign_out: 'Sign out',
  sign_out_text: 'Chats and unsent messages on this device are removed. What the server has stays there.',
  nickname_too_long: 'A nickname has at most 32 characters.',
  no_image: 'This image cannot be read. Choose a JPEG, PNG or WebP.',
  yesterday: 'Yesterday',
  use_here: 'Use it here',
  connect_again: 'Connect again',
  sign_in_again: 'Sign in again',
  error_offline: 'No network. It goes on by itself when there is one.',
  error_timeout: 'The server did not answer. Try again later.',
  error_unavailable: 'The server is busy. Try again later.',
  error_wechat_unavailable: 'Nobody can sign in just now. Try again later.',
  error_rate_limited: 'Too many at once. Try again later.',
  error_storage_full: 'Too many unsent messages for this device. Wait until they are out.',
  error_too_large: 'This is too long. Send it in parts.',
  error_blocked: 'The other side does not take messages from you.',
  error_content_refused: 'This content is not allowed. Change it and try again.',
  error_recall_expired: 'It is too late to recall this message.',
  error_not_found: 'There is no such message.',
  error_unauthorized: 'You are signed out. Sign in again.',
  error_bad_code: 'Signing in did not work. Try again.',
  error_replaced: 'This account is in use in another window.',
  error_kicked: 'You were disconnected by whoever runs this server.',
  error_server_clock: 'The clocks of this device and the server differ by minutes. Set them right.',
  error_banned: 'This account is closed. Ask whoever runs this server.',
}

/** Whom there may be: what begins the path of a WebSocket and is no path of the server's. */
export const isOpenid = name => /^(?!(healthz|readyz|metrics|v1|wechat|assets)$)[\w-]{1,64}$/.test(name)

const chinese = navigator.language.toLowerCase().startsWith('zh')
const words = chinese ? zh : en

/** For dates. A reader of another language gets English words, so English dates too. */
export const locale = chinese || navigator.language.toLowerCase().startsWith('en') ? navigator.language : 'en'

export function text(key, values = {}) {
  return words[key].replace(/\{(\w+)\}/g, (_, name) => values[name])
}

/** What to do about an error: in the reader's language where the word is known, else as the server or the SDK says it. */
export function explain(error) {
  return words[`error_${error.word}`] ?? error.message
}

/** What a message says in one line, for the list and for screen readers. Nothing that the server does not check: no name that its sender has given
 * to a type, and no address of a file. */
export function summary({ type, message }) {
  if (type === 'text') return message
  const kind = Object.hasOwn(words, `type_${type}`) ? words[`type_${type}`] : text('unknown_type')
  return message && !fileOf({ type, message }) ? `${kind} ${message}` : kind
}

/** The address of an image or a recording; nothing where the message is words. */
export function fileOf({ type, message }) {
  return /^(image|voice)$/.test(type) && /^https?:\/\//i.test(message) ? message : ''
}

/** Fills the page's own texts in. */
export function translate(root) {
  root.documentElement.lang = chinese ? 'zh-CN' : 'en'
  for (const element of root.querySelectorAll('[data-text]')) element.textContent = text(element.dataset.text)
  for (const element of root.querySelectorAll('[data-label]')) element.setAttribute('aria-label', text(element.dataset.label))
}
