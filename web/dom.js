/** Four things that the platform does not have. Text only ever goes in as text. */

export const $ = (selector, root = document) => root.querySelector(selector)

/** An element with its properties (or, where there is no such property, attributes) and children. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value
    else element.setAttribute(name, value)
  }
  element.append(...children)
  return element
}

/** One of the page's own symbols, with a name for screen readers. */
export function icon(symbol, name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
  const use = document.createElementNS(svg.namespaceURI, 'use')
  use.setAttribute('href', `#${symbol}`)
  for (const [attribute, value] of [['class', symbol], ['role', 'img'], ['aria-label', name]]) svg.setAttribute(attribute, value)
  svg.append(use)
  return svg
}

/** Makes these the children of `parent`, in this order, touching only what is not in its place: focus and scrolling stay. */
export function place(parent, elements) {
  const wanted = new Set(elements)
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove()
  let at = parent.firstElementChild
  for (const element of elements) {
    if (element === at) at = at.nextElementSibling
    else parent.insertBefore(element, at)
  }
}
