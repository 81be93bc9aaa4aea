// One project, two compilers.
const compiler = process.env.HONGYAN_COMPILER || 'webpack5'

module.exports = {
  projectName: 'hongyan',
  date: '2026-1-1',
  designWidth: 750,
  deviceRatio: { 640: 1.17, 750: 1, 828: 0.905 },
  sourceRoot: 'src',
  outputRoot: `dist/${compiler}`,
  plugins: ['@tarojs/plugin-platform-weapp'],
  framework: 'react',
  compiler,
  mini: {},
}
