module.exports = {
  // Where your server is, without a path. On a phone it must be https://, and stand in the console's lists of domains: as https:// for requests,
  // as wss:// for sockets.
  url: 'http://127.0.0.1:9999',

  // `hongyan dev` asks no WeChat: this is who signs in there. Empty it for a server that does; a released mini-program ignores it.
  devUser: 'alice',
}
