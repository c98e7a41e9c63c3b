/**
 * Additional authenticated data: what a ciphertext belongs to. Every part carries its length, so that no two lists of
 * parts read the same ("ab","c" and "a","bc").
 */
export function aad(...parts: readonly (string | number)[]): Buffer {
  return Buffer.concat(
    parts.flatMap(part => {
      const bytes = Buffer.from(String(part), 'utf8')
      const length = Buffer.alloc(4)
      length.writeUInt32BE(bytes.length)
      return [length, bytes]
    }),
  )
}
