import fc from 'fast-check'
import t from 'tap'
import { pieces } from '../../test/support/pieces.ts'
import { maskVariants } from './mask-variants.ts'
import { Masker, maskSet } from './masker.ts'

const masked = (secrets: string[], parts: Buffer[]) => {
  const masker = new Masker(maskSet(maskVariants(secrets)))
  return Buffer.concat([...parts.map(part => masker.push(part)), masker.end()]).toString('latin1')
}
const whole = (secrets: string[], text: string) => masked(secrets, [Buffer.from(text)])

t.test('every split of the stream gives the same bytes', async () => {
  const secrets = ['Passw0rd!', 'Passw0rd!extra', 'rd!ex', 'tökén-✓', 'aaaa', 'aaaaab']
  const word = fc.constantFrom(...secrets, 'Passw0r', 'Passw0rd!ext', 'aaa', 'a', ' ', '\n', 'tök', 'b')
  fc.assert(
    fc.property(fc.array(word, { maxLength: 12 }), fc.array(fc.integer({ min: 1, max: 9 })), (words, cuts) => {
      const text = Buffer.from(words.join(''))
      const result = masked(secrets, pieces(text, cuts))
      return result === masked(secrets, [text]) && !result.includes('Passw0rd!') && !result.includes('aaaa')
    }),
    { numRuns: 2000, seed: 1 },
  )
})

t.test('the longest secret at a place wins, and one at the very end is hidden', async t => {
  const secrets = ['Passw0rd!', 'Passw0rd!extra']
  t.equal(
    whole(secrets, 'a Passw0rd! b Passw0rd!extra c Passw0r end Passw0rd!'),
    'a ****** b ****** c Passw0r end ******',
  )
  t.equal(whole(['abc'], 'abc'), 'abc', 'too short to be hidden')
  t.equal(whole([], 'anything'), 'anything')
})

t.test('encoded secrets are hidden too', async t => {
  const secret = `it's "$5" & 7/8 \\ ü`
  const bytes = Buffer.from(secret)
  const shown = {
    url: encodeURIComponent(secret),
    form: encodeURIComponent(secret).replaceAll('%20', '+'),
    hex: bytes.toString('hex'),
    HEX: bytes.toString('hex').toUpperCase(),
    json: JSON.stringify(secret),
    single: `'${secret.replaceAll("'", `'\\''`)}'`,
    double: `"${secret.replaceAll(/["$`\\]/g, '\\$&')}"`,
    jenkins: secret.replaceAll('$', () => '$$'),
  }
  for (const [name, text] of Object.entries(shown)) {
    t.match(whole([secret], `<${text}>`), /^<.?\*{6}.?>$/, name)
  }
  for (const before of ['', 'x', 'xy', 'xyz']) {
    for (const after of ['', 'q', 'qr']) {
      const encoded = Buffer.from(before + secret + after).toString('base64')
      t.match(whole([secret], encoded), /^.{0,4}\*{6}.{0,6}$/, `base64 after ${before.length}, before ${after.length}`)
      const wide = Buffer.from(before + secret + after, 'utf16le').toString('base64url')
      t.match(whole([secret], wide), /\*{6}/, 'UTF-16LE in base64url')
    }
  }
})

t.test('each line of a key is hidden, its frame is not', async t => {
  const key = '-----BEGIN OPENSSH PRIVATE KEY-----\nAAAAfirstline\nBBBBsecondline\n-----END OPENSSH PRIVATE KEY-----\n'
  t.equal(whole([key], 'BBBBsecondline\n'), '******\n')
  t.equal(whole([key], `x ${key}`), 'x ******')
  t.equal(whole([key], '-----BEGIN OPENSSH PRIVATE KEY-----\n'), '-----BEGIN OPENSSH PRIVATE KEY-----\n')
})

t.test('what is wiped hides nothing any more', async t => {
  const patterns = maskVariants(['Passw0rd!'])
  const set = maskSet(patterns)
  set.wipe()
  t.ok(patterns.every(pattern => pattern.every(byte => byte === 0)))
  t.equal(new Masker(set).push(Buffer.from('Passw0rd!')).toString(), 'Passw0rd!')
})
