import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DamagedStore } from './errors.ts'
import { hasOwnerFile } from './folder-lock.ts'
import {
  branchChildren,
  type LeafNode,
  leafNodes,
  type Meta,
  NO_ROOT,
  number64,
  PAGE_HEADER,
  PageFile,
  readTree,
  type Tree,
} from './page-file.ts'
import { DATA_FILE } from './tables.ts'

const BRANCH = 0x01
const LEAF = 0x02
const OVERFLOW = 0x04
const NAMED_TREE_SIZE = 48

/** How deep to look: every page, or only the pages that lead to others. */
export type Depth = 'all' | 'branches'

/** Stores up to this size are checked in full at start; larger ones only down to their branch pages. */
const FULL_CHECK_BYTES = 64 * 2 ** 20

/** Is there a store in the folder? Throws DamagedStore when there was one and it is gone or empty. */
export function hasStore(dataDir: string): boolean {
  const path = join(dataDir, DATA_FILE)
  const isThere = existsSync(path) && statSync(path).size > 0
  if (!isThere && hasOwnerFile(dataDir)) throw new DamagedStore(`${DATA_FILE} is missing or empty`)
  return isThere
}

/**
 * Checks that the B-trees of the store hold together before anything maps the file: both meta pages, every page number
 * within the file, every node within its page, keys in order, as many entries as promised. A truncated file or a
 * damaged page would otherwise crash the process or hide events. Throws DamagedStore.
 */
export function checkStructure(dataDir: string, depth?: Depth): void {
  const file = new PageFile(join(dataDir, DATA_FILE))
  try {
    const isShort = (file.meta().lastPage + 1) * file.pageSize > file.size
    const isSmall = file.size <= FULL_CHECK_BYTES
    new StructureCheck(file, file.meta(), depth ?? (isSmall || isShort ? 'all' : 'branches')).run()
  } finally {
    file.close()
  }
}

class StructureCheck {
  readonly #file: PageFile
  readonly #meta: Meta
  readonly #depth: Depth
  #lastKey: Buffer | undefined
  #entries = 0
  /** The free list has native integers as keys, which do not sort as bytes. */
  #isOrdered = true

  constructor(file: PageFile, meta: Meta, depth: Depth) {
    this.#file = file
    this.#meta = meta
    this.#depth = depth
  }

  run(): void {
    const named: Tree[] = []
    this.#checkTree(this.#meta.main, node => {
      if (node.value.length === NAMED_TREE_SIZE) named.push(readTree(node.value))
    })
    for (const tree of named) this.#checkTree(tree, () => {})
    this.#isOrdered = false
    this.#checkTree(this.#meta.freeList, () => {})
  }

  #checkTree(tree: Tree, visit: (node: LeafNode) => void): void {
    if (tree.entries === 0 || tree.root === NO_ROOT) {
      if (tree.entries !== 0) throw new DamagedStore('a tree has entries but no root')
      return
    }
    this.#lastKey = undefined
    this.#entries = 0
    this.#checkPage(tree.root, tree.depth, visit)
    const isCounted = this.#depth === 'all' || tree.depth <= 1
    if (isCounted && this.#entries !== tree.entries) {
      throw new DamagedStore(`a tree has ${this.#entries} entries instead of ${tree.entries}`)
    }
  }

  #checkPage(number: number, depth: number, visit: (node: LeafNode) => void): void {
    if (number > this.#meta.lastPage || number < 2) throw new DamagedStore(`page ${number} is not one of its pages`)
    const isLeaf = depth <= 1
    if (isLeaf && this.#depth === 'branches' && this.#lastKey !== undefined) return
    const page = this.#file.page(number)
    this.#checkHeader(page, number, isLeaf ? LEAF : BRANCH)
    if (!isLeaf) for (const child of branchChildren(page, number)) this.#checkPage(child, depth - 1, visit)
    else for (const node of leafNodes(page, number)) this.#checkNode(node, number, visit)
  }

  #checkNode(node: LeafNode, page: number, visit: (node: LeafNode) => void): void {
    if (this.#isOrdered && this.#lastKey && Buffer.compare(this.#lastKey, node.key) >= 0) {
      throw new DamagedStore(`page ${page} has keys out of order`)
    }
    this.#lastKey = node.key
    this.#entries++
    if (node.overflow) this.#checkOverflow(node.overflow)
    else visit(node)
  }

  #checkOverflow({ page: number, length }: { page: number; length: number }): void {
    const page = this.#file.page(number)
    this.#checkHeader(page, number, OVERFLOW)
    const pages = page.readUInt32LE(20)
    const isEnough = pages * this.#file.pageSize >= length + PAGE_HEADER
    if (!isEnough || number + pages - 1 > this.#meta.lastPage)
      throw new DamagedStore(`page ${number} has a wrong length`)
    this.#file.page(number + pages - 1)
  }

  #checkHeader(page: Buffer, number: number, flag: number): void {
    const isRight = number64(page, 0) === number && (page.readUInt16LE(18) & 0x7f) === flag
    if (!isRight || number64(page, 8) > this.#meta.transaction) throw new DamagedStore(`page ${number} is damaged`)
  }
}
