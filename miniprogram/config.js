// Where your server is. On a phone it must be https, and stand among the domains of your mini-program: docs/CLIENT.md.
module.exports = { url: 'http://127.0.0.1:9999' }
