/** Cuts bytes into pieces of the given lengths; what is left is the last piece. */
export function pieces(bytes: Buffer, lengths: number[]): Buffer[] {
  const found: Buffer[] = []
  let at = 0
  for (const length of lengths) {
    found.push(bytes.subarray(at, at + length))
    at += length
  }
  return [...found, bytes.subarray(at)]
}
