type Node<T> = { literal: Map<string, Node<T>>; one: Node<T> | undefined; rest: Node<T> | undefined; values: Set<T> }

/**
 * Values filed under subjects with wildcards, found by a subject without. A branch goes when its last value goes: reply
 * subjects come and go by the million.
 */
export class SubjectTrie<T> {
  readonly #root: Node<T> = emptyNode()
  #size = 0

  get size(): number {
    return this.#size
  }

  add(subject: string, value: T): void {
    let node = this.#root
    for (const token of subject.split('.')) node = child(node, token) ?? grow(node, token)
    if (node.values.has(value)) return
    node.values.add(value)
    this.#size += 1
  }

  remove(subject: string, value: T): void {
    const path: { parent: Node<T>; token: string }[] = []
    let node = this.#root
    for (const token of subject.split('.')) {
      path.push({ parent: node, token })
      const next = child(node, token)
      if (!next) return
      node = next
    }
    if (!node.values.delete(value)) return
    this.#size -= 1
    for (const { parent, token } of path.reverse()) {
      const here = child(parent, token)
      if (here && !isEmpty(here)) return
      cut(parent, token)
    }
  }

  /** Every value whose subject matches, in no particular order. */
  match(subject: string): T[] {
    const found: T[] = []
    collect(this.#root, subject.split('.'), 0, found)
    return found
  }

  /** True when nothing is filed and no branch was left behind. */
  isBare(): boolean {
    return isEmpty(this.#root)
  }
}

function collect<T>(node: Node<T>, tokens: string[], depth: number, found: T[]): void {
  const token = tokens[depth]
  if (token === undefined) {
    gather(node, found)
    return
  }
  if (node.rest) gather(node.rest, found)
  if (node.one) collect(node.one, tokens, depth + 1, found)
  const literal = node.literal.get(token)
  if (literal) collect(literal, tokens, depth + 1, found)
}

// Not push(...values): a spread of some hundred thousand arguments overflows the stack.
function gather<T>(node: Node<T>, found: T[]): void {
  for (const value of node.values) found.push(value)
}

function emptyNode<T>(): Node<T> {
  return { literal: new Map(), one: undefined, rest: undefined, values: new Set() }
}

function isEmpty<T>(node: Node<T>): boolean {
  return node.values.size === 0 && node.literal.size === 0 && !node.one && !node.rest
}

function child<T>(node: Node<T>, token: string): Node<T> | undefined {
  if (token === '*') return node.one
  return token === '>' ? node.rest : node.literal.get(token)
}

function grow<T>(node: Node<T>, token: string): Node<T> {
  const made = emptyNode<T>()
  if (token === '*') node.one = made
  else if (token === '>') node.rest = made
  else node.literal.set(token, made)
  return made
}

function cut<T>(node: Node<T>, token: string): void {
  if (token === '*') node.one = undefined
  else if (token === '>') node.rest = undefined
  else node.literal.delete(token)
}
