/** How many bytes at the end may be the beginning of the word. */
export function overlap(bytes: Buffer, word: Buffer): number {
  for (let length = Math.min(bytes.length, word.length - 1); length > 0; length -= 1) {
    if (bytes.compare(word, 0, length, bytes.length - length, bytes.length) === 0) return length
  }
  return 0
}
