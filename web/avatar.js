/** Who somebody is, at a glance: the image, or the first letter on a colour of their own. */

import { make } from './dom.js'

const COLOURS = 8
const letters = new Intl.Segmenter()

export const nameOf = user => user.nickname || user.openid

export function avatar(user) {
  const element = make('span', { className: 'avatar', 'aria-hidden': 'true' })
  const showLetter = () => {
    // Marks of direction and the like come before the first letter.
    const [{ segment }] = letters.segment(nameOf(user).replace(/^[\p{C}\p{M}\p{Z}]+/u, '') || '?')
    element.classList.add(`colour-${colourOf(user.openid)}`)
    element.replaceChildren(segment.toUpperCase())
  }
  if (user.avatar) element.append(make('img', { src: user.avatar, alt: '', onerror: showLetter }))
  else showLetter()
  return element
}

function colourOf(openid) {
  let hash = 0
  for (const letter of openid) hash = (hash * 31 + letter.charCodeAt(0)) >>> 0
  return hash % COLOURS
}

/** How many bytes the server takes. */
const AVATAR_BYTES = 32 * 1024

/**
 * A picture file as the server wants it: a square JPEG, cut from the middle. The smaller sizes come to pass only with pictures that are mostly
 * noise.
 * @returns {Promise<Blob>} rejects where the browser cannot read the picture
 */
export async function shrink(file) {
  const picture = await createImageBitmap(file)
  const side = Math.min(picture.width, picture.height)
  for (const [size, quality] of [[256, 0.9], [256, 0.75], [192, 0.7], [128, 0.6]]) {
    const canvas = make('canvas', { width: size, height: size })
    const context = canvas.getContext('2d')
    context.fillStyle = '#fff'
    context.fillRect(0, 0, size, size)
    context.imageSmoothingQuality = 'high'
    context.drawImage(picture, (picture.width - side) / 2, (picture.height - side) / 2, side, side, 0, 0, size, size)
    const blob = await new Promise(resolve => canvas.toBlob(resolve, 'image/jpeg', quality))
    if (blob && blob.size <= AVATAR_BYTES) return blob
  }
  throw new Error('no size of this picture is small enough')
}

export async function base64(blob) {
  const url = await new Promise((resolve, reject) => {
    const reader = new FileReader()
    reader.onload = () => resolve(reader.result)
    reader.onerror = () => reject(reader.error)
    reader.readAsDataURL(blob)
  })
  return url.slice(url.indexOf(',') + 1)
}
