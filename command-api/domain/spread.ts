/** A number from 0 to 1 that follows from the text and from nothing else (FNV-1a). No secret may hang on it. */
export function spread(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0
  return hash / 2 ** 32
}
