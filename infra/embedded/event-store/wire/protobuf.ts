/**
 * The few protobuf primitives the hot paths need (https://protobuf.dev/programming-guides/encoding/).
 * Numbers are JavaScript numbers: every varint this node writes stays below 2^53.
 */
export type Cursor = { at: number }

export const Wire = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const

/** The request bytes are not what the schema says. Reported to the caller as INVALID_ARGUMENT. */
export class MalformedMessage extends Error {
  override name = 'MalformedMessage'
}

/** Reads one varint and moves the cursor. Values above 2^53 lose precision, so callers parse such fields elsewhere. */
export function readVarint(bytes: Buffer, cursor: Cursor): number {
  let value = 0
  let scale = 1
  for (let read = 0; read < 10; read++) {
    const byte = bytes[cursor.at]
    if (byte === undefined) break
    cursor.at++
    value += (byte & 127) * scale
    if (byte < 128) return value
    scale *= 128
  }
  throw new MalformedMessage('truncated or overlong varint')
}

/** Reads a length prefix and answers the bytes behind it, without copying. */
export function readBytes(bytes: Buffer, cursor: Cursor): Buffer {
  const length = readVarint(bytes, cursor)
  const end = cursor.at + length
  if (end > bytes.length) throw new MalformedMessage('field is longer than its message')
  const field = bytes.subarray(cursor.at, end)
  cursor.at = end
  return field
}

/** Steps over a field this node does not know. */
export function skipField(bytes: Buffer, cursor: Cursor, wireType: number): void {
  if (wireType === Wire.varint) readVarint(bytes, cursor)
  else if (wireType === Wire.bytes) readBytes(bytes, cursor)
  else if (wireType === Wire.fixed64) cursor.at += 8
  else if (wireType === Wire.fixed32) cursor.at += 4
  else throw new MalformedMessage(`unknown wire type ${wireType}`)
}

/** Number of bytes a varint takes. */
export function varintLength(value: number): number {
  let length = 1
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) length++
  return length
}

/** Number of bytes a length-delimited field with a one-byte tag takes. */
export function fieldLength(length: number): number {
  return 1 + varintLength(length) + length
}

/** Appends protobuf fields with tags below 16 to a buffer of the exact size. */
export class Writer {
  readonly bytes: Buffer
  at = 0

  constructor(size: number) {
    this.bytes = Buffer.allocUnsafe(size)
  }

  varint(value: number): this {
    let rest = value
    while (rest >= 128) {
      this.bytes[this.at++] = (rest % 128) | 128
      rest = Math.floor(rest / 128)
    }
    this.bytes[this.at++] = rest
    return this
  }

  varintField(field: number, value: number): this {
    this.bytes[this.at++] = (field << 3) | Wire.varint
    return this.varint(value)
  }

  /** Opens a length-delimited field; the caller writes exactly `length` bytes next. */
  open(field: number, length: number): this {
    this.bytes[this.at++] = (field << 3) | Wire.bytes
    return this.varint(length)
  }

  bytesField(field: number, value: Buffer): this {
    this.open(field, value.length)
    this.at += value.copy(this.bytes, this.at)
    return this
  }

  textField(field: number, value: string, byteLength: number): this {
    this.open(field, byteLength)
    this.at += this.bytes.write(value, this.at, byteLength, 'utf8')
    return this
  }
}
