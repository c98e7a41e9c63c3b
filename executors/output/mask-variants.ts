import { SHORTEST_SECRET } from './masker.ts'

/**
 * The byte sequences in which a secret may show up in output: as it is, each of its lines, in base64 at any of the three
 * alignments (of its UTF-16LE form too, as PowerShell takes it), URL, hex, JSON and shell quoted. None is shorter than
 * four bytes, and PEM's frame lines, which are no secret, are left out.
 */
export function maskVariants(secrets: string[]): Buffer[] {
  const found = new Map<string, Buffer>()
  for (const part of secrets.flatMap(withLines)) {
    for (const variant of variantsOf(part)) {
      if (variant.length >= SHORTEST_SECRET) found.set(variant.toString('latin1'), variant)
    }
  }
  return [...found.values()]
}

function withLines(secret: string): string[] {
  const lines = secret.split(/\r?\n/).map(line => line.trim())
  return [secret, secret.trim(), ...lines].filter(
    part => part.length >= SHORTEST_SECRET && !/^-----[A-Z ]+-----$/.test(part),
  )
}

function variantsOf(text: string): Buffer[] {
  const bytes = Buffer.from(text)
  const json = JSON.stringify(text).slice(1, -1)
  const asText = [
    text,
    ...base64Variants(bytes),
    ...base64Variants(Buffer.from(text, 'utf16le')),
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
    encodeURIComponent(text),
    encodeURIComponent(text).replaceAll('%20', '+'),
    json,
    json.replaceAll('/', '\\/'),
    text.replaceAll("'", `'\\''`),
    text.replaceAll(/["$`\\]/g, '\\$&'),
    text.replaceAll('$', '$$$$'),
  ]
  return asText.map(each => Buffer.from(each))
}

/** What stays the same in base64 wherever the secret begins in the encoded whole, in both alphabets. */
function base64Variants(bytes: Buffer): string[] {
  const encoded = [0, 1, 2].map(shift => {
    const text = Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .replaceAll('=', '')
    // The characters at either end that also hold bits of the neighbours differ from place to place.
    const first = Math.ceil((shift * 8) / 6)
    const last = Math.floor(((shift + bytes.length) * 8) / 6)
    return text.slice(first, last)
  })
  return [...encoded, ...encoded.map(text => text.replaceAll('+', '-').replaceAll('/', '_'))]
}
