/** Just enough of DER (ITU-T X.690) to write a certificate. */
const element = (tag: number, content: Buffer): Buffer =>
  Buffer.concat([Buffer.from([tag]), length(content.length), content])

function length(value: number): Buffer {
  if (value < 128) return Buffer.from([value])
  const bytes = Buffer.from(value.toString(16).padStart(value > 255 ? 4 : 2, '0'), 'hex')
  return Buffer.concat([Buffer.from([128 | bytes.length]), bytes])
}

function arc(value: number): number[] {
  return value < 128 ? [value] : [...arc(Math.floor(value / 128)).map(byte => byte | 128), value % 128]
}

function time(date: Date): Buffer {
  const digits = date.toISOString().replace(/[-:T]/g, '').slice(0, 14)
  return element(0x18, Buffer.from(`${digits}Z`))
}

export const der = {
  sequence: (...items: Buffer[]) => element(0x30, Buffer.concat(items)),
  set: (...items: Buffer[]) => element(0x31, Buffer.concat(items)),
  integer: (bytes: Buffer) => element(0x02, bytes),
  boolean: (value: boolean) => element(0x01, Buffer.from([value ? 0xff : 0])),
  octets: (content: Buffer) => element(0x04, content),
  bits: (content: Buffer) => element(0x03, Buffer.concat([Buffer.from([0]), content])),
  text: (value: string) => element(0x0c, Buffer.from(value)),
  explicit: (tag: number, content: Buffer) => element(0xa0 | tag, content),
  implicit: (tag: number, content: Buffer) => element(0x80 | tag, content),
  /** An object identifier in dotted form; its first two arcs share a byte. */
  oid(dotted: string): Buffer {
    const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
    return element(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(arc)]))
  },
  time,
}
