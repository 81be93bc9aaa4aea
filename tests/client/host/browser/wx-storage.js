// Storage with WeChat's bounds, and files of the user.
import { api } from './tools.js'

const MOST_BYTES = 10 * 1024 * 1024
const MOST_BYTES_A_KEY = 1024 * 1024
const PREFIX = 'wx:'
const keys = () => Object.keys(localStorage).filter((key) => key.startsWith(PREFIX))
const used = () => keys().reduce((sum, key) => sum + localStorage[key].length, 0)

function set(key, value) {
  const text = JSON.stringify(value)
  if (text === undefined) throw new Error('setStorageSync:fail data should not be undefined')
  if (text.length > MOST_BYTES_A_KEY) throw new Error('setStorageSync:fail entry size limit reached')
  const before = localStorage.getItem(PREFIX + key)?.length || 0
  if (used() - before + text.length > MOST_BYTES) throw new Error('setStorageSync:fail exceed storage max size 10Mb')
  localStorage.setItem(PREFIX + key, text)
}

const bytesOf = (dataUri) => Math.floor((dataUri.length - dataUri.indexOf(',') - 1) * 0.75)

const files = {
  readFile: api('readFile', ({ filePath, encoding }, done, fail) => {
    if (encoding !== 'base64') return fail('this host reads base64 only')
    done({ data: filePath.slice(filePath.indexOf(',') + 1) })
  }),
  getFileInfo: api('getFileInfo', ({ filePath }, done) => done({ size: bytesOf(filePath) })),
}

async function compress({ src, quality, compressedWidth, compressedHeight }) {
  const image = new Image()
  image.src = src
  await image.decode()
  const canvas = document.createElement('canvas')
  canvas.width = compressedWidth || image.naturalWidth
  canvas.height = compressedHeight || Math.round(canvas.width * image.naturalHeight / image.naturalWidth)
  canvas.getContext('2d').drawImage(image, 0, 0, canvas.width, canvas.height)
  return canvas.toDataURL('image/jpeg', (quality ?? 80) / 100)
}

export const storage = {
  getStorageSync(key) {
    const text = localStorage.getItem(PREFIX + key)
    return text === null ? '' : JSON.parse(text)
  },
  setStorageSync: set,
  removeStorageSync: (key) => localStorage.removeItem(PREFIX + key),
  getFileSystemManager: () => files,
  compressImage: api('compressImage', (options, done, fail) => {
    compress(options).then((tempFilePath) => done({ tempFilePath }), (error) => fail(error.message))
  }),
}
