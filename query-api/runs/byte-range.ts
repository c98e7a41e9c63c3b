export type ByteRange = { from: number; to: number }

/**
 * The one range a Range header asks for (RFC 9110, section 14), `to` not included. Undefined where the whole is to be
 * sent: without a header, for units and forms nobody has to understand, and for several ranges at once.
 */
export function byteRange(header: string | undefined, total: number): ByteRange | 'unsatisfiable' | undefined {
  const [, first = '', last = ''] = /^bytes=\s*(\d{0,15})-(\d{0,15})\s*$/i.exec(header ?? '') ?? []
  if (first === '' && last === '') return undefined
  if (first === '') return ofTheEnd(Number(last), total)
  const from = Number(first)
  const to = last === '' ? total : Math.min(Number(last) + 1, total)
  if (last !== '' && Number(last) < from) return undefined
  return from < total ? { from, to } : 'unsatisfiable'
}

function ofTheEnd(bytes: number, total: number): ByteRange | 'unsatisfiable' {
  return bytes > 0 && total > 0 ? { from: Math.max(0, total - bytes), to: total } : 'unsatisfiable'
}
