// Where your hongyan server is, without a path. On a phone it must be https://, and stand in the console's list of domains, as https:// for
// requests and as wss:// for sockets.
module.exports = { url: 'http://127.0.0.1:9999' }
