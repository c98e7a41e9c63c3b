import { bounds } from './bounds.ts'
import { isDynamic, mark } from './text.ts'

/** What is known of the bytes a command reads or writes. */
export type Stream = {
  /** The bytes themselves, as far as they can be told without running anything. */
  text: string | null
  /** Where they come from when they cannot be told. */
  from: 'nothing' | 'somewhere' | 'network' | 'decoder'
  /** Read from something secret. */
  secret: boolean
}

export const silence: Stream = { text: '', from: 'nothing', secret: false }
export const somewhere: Stream = { text: null, from: 'somewhere', secret: false }

export function textStream(text: string): Stream {
  return text.length > bounds.value ? somewhere : { text, from: 'nothing', secret: false }
}

export function isKnown(stream: Stream): stream is Stream & { text: string } {
  return stream.text !== null && !isDynamic(stream.text)
}

const order = ['nothing', 'somewhere', 'decoder', 'network'] as const

/** One stream after the other, as a list of commands writes them; what is not known of it stands as a line of its own. */
export function concat(streams: readonly Stream[]): Stream {
  const known = streams.some(({ text }) => text !== null && text !== '') || streams.every(({ text }) => text !== null)
  const text = known ? streams.map(({ text }) => text ?? `${mark.unknown}\n`).join('') : null
  const from = order[Math.max(0, ...streams.map(stream => order.indexOf(stream.from)))] ?? 'somewhere'
  const kept = text !== null && text.length <= bounds.value ? text : null
  return { text: kept, from, secret: streams.some(({ secret }) => secret) }
}
