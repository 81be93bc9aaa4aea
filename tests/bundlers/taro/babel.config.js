module.exports = { presets: [['taro', { framework: 'react', ts: false, compiler: process.env.HONGYAN_COMPILER }]] }
