// A picture of the user's, made small enough for an avatar.
const MOST_BYTES = 32 * 1024
// Sides and qualities to try, the finest first.
const STEPS = [
  { side: 480, quality: 80 },
  { side: 320, quality: 75 },
  { side: 200, quality: 60 },
  { side: 132, quality: 40 },
]

const TOO_LARGE = new Error('the picture is too large')

/** The file as base64; rejects with `TOO_LARGE` where it cannot be made small enough, and where it cannot be read. */
async function readAvatar(path) {
  let file = path
  for (const { side, quality } of [...STEPS]) {
    if (await sizeOf(file) <= MOST_BYTES) return read(file)
    file = await compress(path, side, quality)
  }
  if (await sizeOf(file) <= MOST_BYTES) return read(file)
  throw TOO_LARGE
}

const files = () => wx.getFileSystemManager()

const sizeOf = (filePath) => new Promise((resolve, reject) => {
  files().getFileInfo({ filePath, success: ({ size }) => resolve(size), fail: reject })
})
const read = (filePath) => new Promise((resolve, reject) => {
  files().readFile({ filePath, encoding: 'base64', success: ({ data }) => resolve(data), fail: reject })
})
const compress = (src, side, quality) => new Promise((resolve, reject) => {
  wx.compressImage({
    src,
    quality,
    compressedWidth: side,
    compressedHeight: side,
    success: ({ tempFilePath }) => resolve(tempFilePath),
    fail: reject,
  })
})

module.exports = { readAvatar, TOO_LARGE }
