import fc from 'fast-check'
import t from 'tap'
import { pieces } from '../../test/support/pieces.ts'
import { remoteCommand, remoteScript, Unwritable } from './command.ts'
import { type Sudo, SudoDialogue } from './sudo.ts'

const input = Buffer.from('input')

/** What passes, and what is sent to standard input, when standard error comes in these parts. */
async function talk(parts: Buffer[], password?: () => Promise<string>) {
  const sent: string[] = []
  const stdin = {
    write: (text: string) => sent.push(text),
    end: (bytes?: Buffer) => sent.push(`${bytes ?? ''}<end>`),
  }
  const sudo: Sudo = { user: 'root', ...(password && { password }) }
  const dialogue = new SudoDialogue({ sudo, token: 'opsc-77', stdin, input })
  const passed: Buffer[] = []
  for (const part of parts) {
    passed.push(dialogue.push(part))
    await null
  }
  passed.push(dialogue.end())
  await new Promise(resolve => setImmediate(resolve))
  return { passed: Buffer.concat(passed).toString(), sent, dialogue }
}
const whole = (text: string, password?: () => Promise<string>) => talk([Buffer.from(text)], password)
const secret = async () => 'secret'

t.test('the dialogue is cut out, wherever the stream was split', async t => {
  const text = 'lecture opsc-7\nopsc-77-password:\nopsc-77-go\nopsc-77-password: opsc-77-go\nrest opsc-77-pass'
  const expected = 'lecture opsc-7\n\nopsc-77-password: opsc-77-go\nrest opsc-77-pass'
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 40 }), async cuts => {
      const { passed, sent, dialogue } = await talk(pieces(Buffer.from(text), cuts), secret)
      return passed === expected && dialogue.went && sent.toSorted().join('|') === 'input<end>|secret\n'
    }),
    { numRuns: 300, seed: 1 },
  )
  t.equal((await whole('opsc-77-passwor')).passed, 'opsc-77-passwor', 'what turns out to be something else')
})

t.test('a password is given once, and none after sudo has said yes', async t => {
  const twice = await whole('opsc-77-password:Sorry, try again.\nopsc-77-password:', secret)
  t.same(twice.sent.toSorted(), ['<end>', 'secret\n'])
  t.match(twice.dialogue.refusal(1), { class: 'auth-failed', detail: /did not take the password \(exit code 1\)/ })
  const tricked = await whole('opsc-77-go\nopsc-77-password:', secret)
  t.same(tricked.sent, ['input<end>'])
  const without = await whole('sudo: a password is required\n')
  t.same(without.sent, [])
  t.match(without.dialogue.refusal(1), { class: 'auth-failed', detail: /the credential has none/ })
  t.match(without.dialogue.refusal(127), { class: 'command-not-found' })
})

t.test('when no password can be had the input is closed, and why is told', async t => {
  const failed = await whole('opsc-77-password:', () => Promise.reject(new Error('revoked')))
  t.same(failed.sent, ['<end>'])
  t.throws(() => failed.dialogue.refusal(1), { message: 'revoked' })
})

t.test('what cannot be written down is refused before anything is sent', async t => {
  const of = { command: 'true', stdin: '', sudo: undefined }
  const script = { script: 'true', interpreter: '/bin/sh', arguments: [], stdin: '', sudo: undefined }
  t.throws(() => remoteCommand({ ...of, variables: { opsc_1: 'a\0b' } }, 'opsc-77'), Unwritable)
  t.throws(() => remoteCommand({ ...of, variables: { 'a;b': 'x' } }, 'opsc-77'), Unwritable)
  t.throws(() => remoteScript({ ...script, arguments: ['a\0b'] }, 'opsc-77'), Unwritable)
  t.throws(() => remoteScript({ ...script, arguments: Array(40).fill('x'.repeat(4_000)) }, 'opsc-77'), Unwritable)
  const long = remoteCommand({ ...of, variables: { opsc_1: 'x'.repeat(130_000) } }, 'opsc-77')
  t.ok(long.command.length < 10_000 && (long.stdin?.length ?? 0) > 130_000, 'what is long goes by standard input')
})
