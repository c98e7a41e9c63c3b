import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { DamagedStore } from './errors.ts'

/** Root and size of one B-tree of an LMDB file. */
export type Tree = { depth: number; branchPages: number; leafPages: number; entries: number; root: number }

export type Meta = { transaction: number; lastPage: number; freeList: Tree; main: Tree }

/** One node of a leaf page: a value, a value on its own pages, or a named tree. */
export type LeafNode = { key: Buffer; value: Buffer; overflow: { page: number; length: number } | undefined }

export const PAGE_HEADER = 24
/** Root of a tree without pages (P_INVALID), as `number64` reads it. */
export const NO_ROOT = 2 ** 64

// Layout of LMDB data version 2 (mdb.c: MDB_page_header, MDB_meta, MDB_db, MDB_node), little-endian, 64 bit.
const MAGIC = 0xbeefc0de
const DATA_VERSION = 2
const META_FLAG = 0x08
const NODE_HEADER = 8
const OVERFLOW_VALUE = 0x01
const OVERFLOW_POINTER = 24

/** Reads an LMDB file page by page without mapping it, so that damage shows as an error instead of a crash. */
export class PageFile {
  readonly #fd: number
  readonly pageSize: number
  readonly size: number

  constructor(path: string) {
    this.#fd = openSync(path, 'r')
    this.size = fstatSync(this.#fd).size
    const head = Buffer.alloc(PAGE_HEADER + 64)
    readSync(this.#fd, head, 0, head.length, 0)
    this.pageSize = head.readUInt32LE(PAGE_HEADER + 24)
    const isPageSize = this.pageSize >= 512 && this.pageSize <= 65_536 && Number.isInteger(Math.log2(this.pageSize))
    if (!isPageSize) throw new DamagedStore('its first page is not that of a store')
  }

  close(): void {
    closeSync(this.#fd)
  }

  page(number: number, count = 1): Buffer {
    const bytes = Buffer.alloc(this.pageSize * count)
    if ((number + count) * this.pageSize > this.size) throw new DamagedStore(`page ${number} is beyond its end`)
    readSync(this.#fd, bytes, 0, bytes.length, number * this.pageSize)
    return bytes
  }

  /**
   * The meta page of the last commit. Both must be whole and of consecutive transactions, or the first must be that of
   * a new or a copied store, which says nothing yet. Read at once, since a running node writes them in turn.
   */
  meta(): Meta {
    const pages = this.page(0, 2)
    const first = readMeta(pages)
    const second = readMeta(pages.subarray(this.pageSize))
    const isPair = first.transaction % 2 === 0 && Math.abs(first.transaction - second.transaction) <= 1
    const isFresh = first.transaction === 0 && first.main.entries === 0 && first.main.root === NO_ROOT
    if (!isPair && !isFresh) throw new DamagedStore('its two meta pages do not belong together')
    return first.transaction > second.transaction ? first : second
  }
}

function readMeta(page: Buffer): Meta {
  const at = PAGE_HEADER
  const isMeta = (page.readUInt16LE(18) & META_FLAG) !== 0
  if (!isMeta || page.readUInt32LE(at) !== MAGIC) throw new DamagedStore('a meta page is not one')
  if (page.readUInt32LE(at + 4) !== DATA_VERSION) throw new DamagedStore('it has an unknown data version')
  return {
    freeList: readTree(page.subarray(at + 24)),
    main: readTree(page.subarray(at + 72)),
    lastPage: number64(page, at + 120),
    transaction: number64(page, at + 128),
  }
}

/** Decodes MDB_db, found in meta pages and as the value of a named tree. */
export function readTree(bytes: Buffer): Tree {
  return {
    depth: bytes.readUInt16LE(6),
    branchPages: number64(bytes, 8),
    leafPages: number64(bytes, 16),
    entries: number64(bytes, 32),
    root: number64(bytes, 40),
  }
}

/** Children of a branch page. */
export function branchChildren(page: Buffer, number: number): number[] {
  return nodeOffsets(page, number).map(at => {
    return page.readUInt16LE(at) + page.readUInt16LE(at + 2) * 2 ** 16 + page.readUInt16LE(at + 4) * 2 ** 32
  })
}

/** Nodes of a leaf page, in key order. */
export function leafNodes(page: Buffer, number: number): LeafNode[] {
  return nodeOffsets(page, number).map(at => {
    const length = page.readUInt32LE(at)
    const key = at + NODE_HEADER
    const value = key + page.readUInt16LE(at + 6)
    const isOverflow = (page.readUInt16LE(at + 4) & OVERFLOW_VALUE) !== 0
    const end = value + (isOverflow ? OVERFLOW_POINTER : length)
    if (end > page.length) throw new DamagedStore(`page ${number} has a node that leaves it`)
    return {
      key: page.subarray(key, value),
      value: page.subarray(value, end),
      overflow: isOverflow ? { page: number64(page, value), length } : undefined,
    }
  })
}

function nodeOffsets(page: Buffer, number: number): number[] {
  const lower = page.readUInt16LE(20)
  const upper = page.readUInt16LE(22)
  if (lower > upper || upper + PAGE_HEADER > page.length)
    throw new DamagedStore(`page ${number} has an impossible header`)
  return Array.from({ length: lower >> 1 }, (_, index) => {
    const offset = page.readUInt16LE(PAGE_HEADER + 2 * index) + PAGE_HEADER
    if (offset < upper + PAGE_HEADER || offset + NODE_HEADER > page.length) {
      throw new DamagedStore(`page ${number} has a node outside of it`)
    }
    return offset
  })
}

/** Reads an unsigned 64-bit number; page numbers and counts stay far below 2^53, "no page" comes out as 2^64. */
export function number64(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 2 ** 32
}
