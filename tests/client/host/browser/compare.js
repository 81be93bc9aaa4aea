// What is shown against what WeChat's compiler makes of the same data: a null is nothing to glass-easel, and the word "null" in WeChat.
const COMPARE_MS = 200
const shown = new Map()
let timer

/** The texts of a component's own template, without those of the components in it. */
function textsOf(node) {
  if (node.textContent !== undefined && !node.childNodes) return [node.textContent]
  return node.childNodes.flatMap(textsOf)
}

const textsOfWechat = node => (typeof node === 'string' ? [node] : (node.children || []).flatMap(textsOfWechat))
const joined = texts => texts.join('').replace(/\s+/g, ' ').trim()

function compare() {
  timer = undefined
  for (const [instance, file] of shown) {
    const compiled = globalThis.$gwx(`${file}.wxml`)
    const wechat = joined(textsOfWechat(compiled(JSON.parse(JSON.stringify(instance.data)))))
    const here = joined(textsOf(instance._$.shadowRoot))
    if (wechat !== here) console.error(`${file}.wxml: WeChat shows ${JSON.stringify(wechat)} where ${JSON.stringify(here)} is shown here`)
  }
}

const soon = () => { timer ??= setTimeout(compare, COMPARE_MS) }

/** Compares what an instance of `file` shows from now on, whenever something has changed; does nothing without wcc. */
export const compareWithWechat = {
  attached(instance, file) {
    if (!globalThis.$gwx) return
    shown.set(instance, file)
    soon()
  },
  detached: instance => shown.delete(instance),
  changed() { if (globalThis.$gwx) soon() },
}
