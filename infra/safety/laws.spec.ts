import fc from 'fast-check'
import t from 'tap'
import { posixBad } from '../../test/support/safety/posix-bad.ts'
import { bounds } from './bounds.ts'
import type { Shell } from './facts.ts'
import { judge } from './judge.ts'
import { decisions } from './rules.ts'

const decide = async (command: string, shell: Shell = 'posix') => (await judge({ shell, command })).decision
const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`

/** Ways to write one character of a word so that the shell reads it the same. */
const spellings: ((character: string) => string)[] = [
  character => character,
  character => `\\${character}`,
  character => `'${character}'`,
  character => `"${character}"`,
  character => `$'\\x${character.charCodeAt(0).toString(16)}'`,
  character => `${character}''`,
  character => `""${character}`,
]
const spelled = (word: string) =>
  fc
    .tuple(...[...word].map(() => fc.nat(spellings.length - 1)))
    .map(picks => [...word].map((character, index) => spellings[picks[index] ?? 0]?.(character)).join(''))

t.test('a refused command stays refused however its letters are quoted', async () => {
  const words = ['rm', '-rf', '/etc']
  await fc.assert(
    fc.asyncProperty(fc.tuple(...words.map(spelled)), async parts => (await decide(parts.join(' '))) === 'deny'),
    { numRuns: 150 },
  )
})

t.test('cmd: carets, quotes and case change nothing', async () => {
  const caret = fc.tuple(fc.nat(3), fc.boolean(), fc.boolean()).map(([at, quoted, upper]) => {
    const verb = upper ? 'RMDIR' : 'rmdir'
    const bent = `${verb.slice(0, at)}^${verb.slice(at)}`
    return `${bent} /s /q ${quoted ? '"C:\\Windows"' : 'c:\\windows'}`
  })
  await fc.assert(
    fc.asyncProperty(caret, async command => (await decide(command, 'cmd')) === 'deny'),
    { numRuns: 60 },
  )
})

t.test('PowerShell: backticks, case and shortened parameters change nothing', async () => {
  const variants = fc
    .tuple(fc.integer({ min: 1, max: 9 }), fc.boolean(), fc.integer({ min: 1, max: 7 }))
    .map(([at, upper, length]) => {
      const name = upper ? 'REMOVE-ITEM' : 'remove-item'
      // A backtick before some letters is a control character, as in the shell.
      const bent = /[0abefnrtuv]/i.test(name[at] ?? '') ? name : `${name.slice(0, at)}\`${name.slice(at)}`
      return `${bent} -${'Recurse'.slice(0, length)} C:\\Windows`
    })
  await fc.assert(
    fc.asyncProperty(variants, async command => (await decide(command, 'powershell')) === 'deny'),
    { numRuns: 40 },
  )
})

const wrappers: ((command: string) => string)[] = [
  command => `sudo sh -c ${quote(command)}`,
  command => `bash -c ${quote(command)}`,
  command => `eval ${quote(command)}`,
  command => `env A=1 nice -n 5 sh -c ${quote(command)}`,
  command => `timeout 5 bash -c ${quote(command)}`,
  command => `ssh host ${quote(command)}`,
  command => `(\n${command}\n)`,
  command => `{\n${command}\n}`,
  command => `if true; then\n${command}\nfi`,
  command => `f() {\n${command}\n}; f`,
  command => `echo $(\n${command}\n)`,
  command => `bash <<'EOF_OF_TEST'\n${command}\nEOF_OF_TEST`,
  command => `echo ${Buffer.from(command).toString('base64')} | base64 -d | sh`,
  command => `echo start\n${command}\necho end`,
  command => `powershell -Command "bash -c '${command}'"`,
]

t.test('wrapping never makes a decision more lenient', async () => {
  const plain = posixBad.deny.filter(command => !/["'\n#]|<<|&$|\$[0-9@]/.test(command))
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...plain),
      fc.array(fc.nat(wrappers.length - 2), { minLength: 1, maxLength: 3 }),
      async (command, picks) => {
        const wrapped = picks.reduce((inner, pick) => wrappers[pick]?.(inner) ?? inner, command)
        const before = decisions.indexOf(await decide(command))
        const after = decisions.indexOf(await decide(wrapped))
        // `ssh` and here-documents start in another folder, which only loses what `cd` had said outside.
        return after >= before
      },
    ),
    { numRuns: 250 },
  )
})

t.test('adding a command to a list never makes it more lenient', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...posixBad.deny.filter(command => !/\n|<<|&$|#/.test(command))),
      fc.constantFrom('echo hi', 'ls', 'cd /tmp', 'true'),
      async (command, other) => (await decide(`${command}\n${other}`)) === 'deny',
    ),
    { numRuns: 100 },
  )
})

const pieces = fc.array(
  fc.oneof(
    fc.constantFrom(
      'rm',
      '-rf',
      '/',
      '$X',
      '"',
      "'",
      '`',
      '$(',
      ')',
      '{',
      '}',
      '|',
      '&',
      ';',
      '<<E',
      '\n',
      '<(',
      '\\',
      '~',
      '*',
      '[',
      '((',
      'if',
      'for',
      'do',
      'done',
      'case',
      'esac',
      'f()',
      '%X%',
      '^',
      '@{',
      '$_',
      '| %',
      '-enc',
      'sudo',
      'xargs',
      'eval',
      'find . -exec',
      '{}',
      'for /f %i in (',
      '\uE000',
      '\u0000',
    ),
    fc.string({ maxLength: 6, unit: 'grapheme' }),
  ),
  { maxLength: 40 },
)

t.test('any text is judged, quickly and without an exception', async t => {
  let slowest = 0
  await fc.assert(
    fc.asyncProperty(
      pieces,
      fc.constantFrom<Shell>('posix', 'powershell', 'cmd'),
      fc.constantFrom('', ' '),
      async (parts, shell, glue) => {
        const start = performance.now()
        const { decision } = await judge({ shell, command: parts.join(glue) })
        slowest = Math.max(slowest, performance.now() - start)
        return decisions.includes(decision)
      },
    ),
    { numRuns: 600 },
  )
  t.ok(slowest < 5_000, `slowest ${Math.round(slowest)} ms`)
})

t.test('whatever is larger than the bounds asks for a person', async t => {
  const large = {
    long: `echo ${'a'.repeat(bounds.input)}`,
    deep: `${'('.repeat(300)}ls${')'.repeat(300)}`,
    nested: Array.from({ length: 40 }).reduce<string>(inner => `sudo ${inner}`, 'ls'),
    substitutions: `${'echo $('.repeat(200)}ls${')'.repeat(200)}`,
    wide: 'ls;'.repeat(20_000),
    braces: `echo ${'{a,b}'.repeat(30)}`,
    recursion:
      'a() { b; b; }; b() { c; c; }; c() { d; d; }; d() { e; e; }; e() { ls; ls; }; for i in 1 2; do a; a; a; done'.repeat(
        50,
      ),
  }
  for (const [name, command] of Object.entries(large)) {
    const start = performance.now()
    const { decision } = await judge({ shell: 'posix', command })
    if (name !== 'braces') t.equal(decision, 'confirm', name)
    t.ok(performance.now() - start < 5_000, `${name} in time`)
  }
  t.equal(await decide('if (1) {'.repeat(400), 'powershell'), 'confirm')
  t.equal(await decide('dir & '.repeat(10_000), 'cmd'), 'confirm')
})
