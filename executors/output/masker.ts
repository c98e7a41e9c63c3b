const MASK = Buffer.from('******')
const EMPTY = Buffer.alloc(0)

/** No secret shorter than this is hidden, so its first bytes can be looked up together. */
export const SHORTEST_SECRET = 4
const TABLE_BITS = 12

/** Byte sequences to hide, ready for fast search. `wipe` overwrites them: use nothing that holds them afterwards. */
export type MaskSet = {
  /** By first byte, longest first. */
  byFirstByte: Array<Buffer[] | undefined>
  /** 1 at the slot of the first four bytes of each: nearly every place in a text is ruled out by one look. */
  table: Uint8Array
  wipe(): void
}

/** Prepares what `maskVariants` found. */
export function maskSet(patterns: Buffer[]): MaskSet {
  const byFirstByte: Array<Buffer[] | undefined> = new Array(256).fill(undefined)
  const table = new Uint8Array(1 << TABLE_BITS)
  for (const pattern of patterns.toSorted((a, b) => b.length - a.length)) {
    const first = pattern[0]
    if (first === undefined || pattern.length < SHORTEST_SECRET) throw new RangeError('too short to be hidden')
    table[slot(pattern.readUInt32LE(0))] = 1
    byFirstByte[first] = [...(byFirstByte[first] ?? []), pattern]
  }
  return {
    byFirstByte,
    table,
    wipe: () => {
      for (const pattern of patterns) pattern.fill(0)
      byFirstByte.fill(undefined)
      table.fill(0)
    },
  }
}

/** Multiplicative hash of four bytes (Knuth). */
const slot = (word: number): number => Math.imul(word, 0x9e3779b1) >>> (32 - TABLE_BITS)

/**
 * Replaces secrets in one stream of bytes, longest first at each place. Whatever may still become a secret is held
 * back, so the result does not depend on how the stream was cut.
 */
export class Masker {
  readonly #set: MaskSet
  #held: Buffer = EMPTY

  constructor(set: MaskSet) {
    this.#set = set
  }

  push(bytes: Buffer): Buffer {
    return this.#mask(this.#held.length > 0 ? Buffer.concat([this.#held, bytes]) : bytes, false)
  }

  /** What was held back; nothing may follow. */
  end(): Buffer {
    return this.#mask(this.#held, true)
  }

  #mask(bytes: Buffer, final: boolean): Buffer {
    const { byFirstByte } = this.#set
    const parts: Buffer[] = []
    let clean = 0
    let at = 0
    while (at < bytes.length) {
      at = this.#skip(bytes, at)
      const candidates = byFirstByte[bytes[at] ?? 0]
      if (at === bytes.length) break
      if (candidates === undefined) {
        at += 1
        continue
      }
      const hit = this.#match(bytes, at, candidates, final)
      if (hit === 'undecided') break
      if (hit === 0) {
        at += 1
        continue
      }
      parts.push(bytes.subarray(clean, at), MASK)
      at += hit
      clean = at
    }
    // A copy, because the rest of the caller's buffer would be kept alive and may be used again.
    this.#held = at < bytes.length ? Buffer.from(bytes.subarray(at)) : EMPTY
    if (parts.length === 0) return bytes.subarray(0, at)
    parts.push(bytes.subarray(clean, at))
    return Buffer.concat(parts)
  }

  /** The next place where a secret may begin, as far as its first four bytes tell. */
  #skip(bytes: Buffer, from: number): number {
    const { table } = this.#set
    const last = bytes.length - SHORTEST_SECRET
    let at = from
    // The places are within the buffer; `?? 0` would cost as much as the search.
    while (at <= last) {
      const word =
        (bytes[at] as number) |
        ((bytes[at + 1] as number) << 8) |
        ((bytes[at + 2] as number) << 16) |
        ((bytes[at + 3] as number) << 24)
      if (table[slot(word)] === 1) return at
      at += 1
    }
    return at
  }

  /** Length of the longest secret that begins here, 0 when none does, or that more bytes must tell. */
  #match(bytes: Buffer, at: number, candidates: Buffer[], final: boolean): number | 'undecided' {
    const left = bytes.length - at
    for (const pattern of candidates) {
      if (pattern.length <= left) {
        if (bytes.compare(pattern, 0, pattern.length, at, at + pattern.length) === 0) return pattern.length
      } else if (!final && bytes.compare(pattern, 0, left, at, bytes.length) === 0) return 'undecided'
    }
    return 0
  }
}
