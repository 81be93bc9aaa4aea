// Holds what is drawn here against what WeChat's compiler makes of the same data: a null is nothing to this host's templates, and the
// word "null" in WeChat.

/** Components whose data changed since they were last compared. */
const changed = new Set()

/** Compares a component before the next frame. Without wcc on the machine that built the page there is no `$gwx`. */
export function compareWithWcc(component) {
  if (typeof globalThis.$gwx !== 'function') return
  if (changed.size === 0) queueMicrotask(compareAll)
  changed.add(component)
}

function compareAll() {
  const components = [...changed]
  changed.clear()
  for (const component of components) compare(component)
}

function compare(component) {
  const shadow = component._$?.getShadowRoot()
  if (!shadow) return
  const render = globalThis.$gwx(`${component.is}.wxml`)
  if (!render) throw new Error(`wcc knows no ${component.is}.wxml`)
  const theirs = textsOfWcc(render(component.data, {}, {}))
  const ours = textsOf(shadow)
  if (ours.join('\n') === theirs.join('\n')) return
  const at = ours.findIndex((text, i) => text !== theirs[i])
  const i = at < 0 ? ours.length : at
  console.error(`${component.is}.wxml: WeChat draws ${JSON.stringify(theirs[i])}, this host ${JSON.stringify(ours[i])}`)
}

const visible = (text) => text.replace(/\s+/g, ' ').trim()

/** The texts of one component's own template, in order; what stands in a child component's template is compared as the child's own. */
function textsOf(node, found = []) {
  for (const child of node.childNodes || []) {
    if (typeof child.textContent === 'string' && !child.childNodes) {
      if (visible(child.textContent)) found.push(visible(child.textContent))
    } else textsOf(child, found)
  }
  return found
}

/** The same of wcc's tree, where a child that is no node is a text: WeChat's view makes a string of it, whatever it is. */
function textsOfWcc(node, found = []) {
  for (const child of node.children || []) {
    if (child && typeof child === 'object') textsOfWcc(child, found)
    else if (visible(String(child))) found.push(visible(String(child)))
  }
  return found
}
