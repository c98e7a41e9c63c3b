/** Data types of the SSH protocol (RFC 4251 section 5). */
export const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

export const uint64 = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(value)
  return bytes
}

export const string = (value: string | Uint8Array): Buffer => {
  const bytes = Buffer.from(value)
  return Buffer.concat([uint32(bytes.length), bytes])
}

/** A positive number, from its bytes: no leading zeros, but one where the first bit is set. */
export const mpint = (value: Uint8Array): Buffer => {
  const first = value.findIndex(byte => byte !== 0)
  const bytes = first === -1 ? Buffer.alloc(0) : Buffer.from(value.subarray(first))
  return string((bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes)
}

/** Takes strings off the front; undefined when there is none left. */
export function reader(bytes: Buffer) {
  let at = 0
  const take = (count: number): Buffer | undefined => {
    if (at + count > bytes.length) return undefined
    at += count
    return bytes.subarray(at - count, at)
  }
  return {
    take,
    string: (): Buffer | undefined => {
      const length = take(4)
      return length && take(length.readUInt32BE())
    },
  }
}
