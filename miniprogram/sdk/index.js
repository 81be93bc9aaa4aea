// Made of sdk/hongyan.js by scripts/sdk-modules: change that one.
module.exports = require('./hongyan')
