import { spawnSync } from 'node:child_process'
import fc from 'fast-check'
import t from 'tap'
import { prologue, renderShell } from './shell.ts'
import { TemplateError } from './template-error.ts'

const run = (shell: string, script: string) => {
  const { stdout, stderr, status } = spawnSync(shell, ['-c', script], { encoding: 'latin1', timeout: 20_000 })
  return { stdout, stderr, status }
}
/** The whole of what goes to the shell for a command with this value as `item`. */
const scriptFor = (command: string, item: string) => {
  const rendered = renderShell(command, { item })
  return `${prologue(rendered.variables)}${rendered.command}\n`
}

/** Commands that print the value and nothing else, each with the value in another place. */
const places = [
  `printf '%s' \${{ item }}`,
  `printf '%s' "\${{ item }}"`,
  `printf %s ""\${{ item }}''`,
  `printf '%s%s' "a\${{ item }}b" | sed '1s/^a//; $s/b$//' | head -c -0`,
  `printf %s "$(printf '%s.' \${{ item }})" | head -c -1`,
  `printf %s "$(printf '%s.' "\${{ item }}")" | head -c -1`,
  `printf %s "$(printf %s "$(printf '%s.' "it's \\"\${{ item }}")")" | head -c -1 | tail -c +7`,
  `x=\${{ item }}; printf %s "$x"`,
  `case a in a) printf %s \${{ item }};; (b) echo no;; esac`,
  `printf %s "$(case a in a) printf '%s.' "\${{ item }}";; esac)" | head -c -1`,
  `f() { printf %s "$1"; }; f \${{ item }} # it's a comment`,
  `if true; then :; fi # don't\nprintf %s \\\n\${{ item }}`,
  `printf %s \${x:-}"\${{ item }}"`,
  `(printf %s \${{ item }}) 2>&1`,
  `{ printf %s \${{ item }}; } <<EOF\n"'\nEOF\n`,
  `sh -c 'printf %s "$1"' sh \${{ item }}`,
]
const hereDoc = `cat <<-"ONE" >/dev/null; cat <<TWO | head -c -1\n\t\${x\n\tONE\n\${{ item }}\nTWO\n`

const tricky = [
  '',
  ' ',
  '  two  words  ',
  '*',
  '~',
  '$HOME',
  '$(id)',
  '`id`',
  "'",
  '"',
  '\\',
  '\\\\',
  "'; id; '",
  '"; id; "',
  '$(',
  '${',
  '#x',
  '-n',
  'a\nb',
  '\n',
  '\n\n',
  '\t',
  '\r\n',
  'é☃𝒳',
  '!x',
  'x=1',
  '}}',
  '${{ item }}',
  '$opsc_1',
  '%s',
  "\\'",
  '&& id',
  'EOF',
  'TWO',
  '\u0001',
  '\u007f',
]

t.test('a value reaches the command byte for byte, wherever it stands', async t => {
  const anything = fc.string({ unit: 'binary', maxLength: 30 }).map(text => text.replaceAll('\0', ''))
  const shellish = fc.string({ unit: fc.constantFrom(...'\'"\\$`(){}[]<>|&;*?~#!= \n\ta-'), maxLength: 30 })
  const random = fc.sample(fc.oneof(anything, shellish), { numRuns: 400, seed: 11 })
  for (const shell of ['/bin/sh', '/bin/bash']) {
    for (const place of places) {
      // Places that need processes of their own are tried with fewer.
      const values = [...tricky, ...random.slice(0, /[|]|sh -c/.test(place) ? 15 : 400)]
      // One process for all values: every one between two marks that no value has in it.
      const script = values.map(value => `printf '\\036'\n${scriptFor(`{\n${place}\n}`, value)}`).join('')
      const { stdout, stderr } = run(shell, script)
      const got = stdout.split('\x1e').slice(1)
      const bytes = values.map(value => Buffer.from(value, 'utf8').toString('latin1'))
      const wrong = values.findIndex((_, i) => got[i] !== bytes[i])
      t.equal(wrong, -1, `${shell}: ${place} ${JSON.stringify([bytes[wrong], got[wrong], stderr.slice(0, 200)])}`)
    }
    for (const value of tricky.filter(text => !text.includes('TWO')))
      t.equal(
        run(shell, scriptFor(hereDoc, value)).stdout,
        Buffer.from(value).toString('latin1'),
        `${shell}: in a here-document`,
      )
  }
})

t.test('no value is ever run, whatever is made of the command around it', async t => {
  const pieces = fc.constantFrom(
    ...[
      `'`,
      '"',
      '\\',
      '$(',
      ')',
      '`',
      '${',
      '}',
      '# ',
      '\n',
      ' ',
      ';',
      '<<EOF\n',
      '<<"EOF"\n',
      'EOF\n',
      'case x in x)',
      'esac',
      'echo ',
      '$',
      '(',
      '((',
    ],
  )
  const around = fc.array(pieces, { maxLength: 8 }).map(list => list.join(''))
  const marker = 'opsc-was-run'
  const values = [
    `$(echo ${marker} >&2)`,
    `\`echo ${marker} >&2\``,
    `'; echo ${marker} >&2; '`,
    `"; echo ${marker} >&2; "`,
    `\necho ${marker} >&2\n`,
    `)echo ${marker} >&2;(`,
  ]
  const commands = fc.sample(fc.tuple(around, around), { numRuns: 250, seed: 5 })
  let tried = 0
  const scripts = commands.flatMap(([before, after]) => {
    try {
      return values.map(value => scriptFor(`: ${before}\${{ item }}${after}`, value))
    } catch (error) {
      if (error instanceof TemplateError) return []
      throw error
    }
  })
  for (let i = 0; i < scripts.length; i += 40) {
    const batch = scripts.slice(i, i + 40)
    // Each in a shell of its own: many of these do not even parse.
    const words = batch.map(script => `'${script.replaceAll("'", `'\\''`)}'`).join(' ')
    const { stderr } = run(
      '/bin/bash',
      `for s in ${words}; do sh -c "$s" </dev/null >/dev/null; bash -c "$s" </dev/null >/dev/null; done`,
    )
    tried += batch.length
    const lines = stderr.split('\n').filter(line => line.trim() === marker)
    t.same(lines, [], `${i}`)
  }
  t.ok(tried > 150, `${tried} commands were tried`)
})

const refused: Array<[string, RegExp]> = [
  [`echo '\${{ item }}'`, /single quotes/],
  [`echo $'\${{ item }}'`, /\$'…'/],
  ['echo "`date ${{ item }}`"', /backticks/],
  ['echo ${x:-${{ item }}}', /\$\{…\}/],
  ['echo "${x:-${{ item }}}"', /\$\{…\}/],
  ['echo $((1 + ${{ item }}))', /arithmetic/],
  ['((x = ${{ item }}))', /arithmetic/],
  ['echo # ${{ item }}', /comment/],
  [`cat <<'EOF'\n\${{ item }}\nEOF`, /end word is quoted/],
  ['cat <<\\EOF\n${{ item }}\nEOF', /end word is quoted/],
  ['cat <<${{ item }}\n', /<< needs a word/],
  ['echo \\${{ item }}', /backslash/],
  ['echo "$${{ item }}"', /right after a \$/],
  ['[[ 1 -eq ${{ item }} ]]', /\[\[ \]\]/],
  ['[[ a = b && 1 -eq ${{ item }} ]]', /\[\[ \]\]/],
  ['eval echo ${{ item }}', /program by eval/],
  ['sudo -u x /bin/bash -lc "echo ${{ item }}"', /program by \/bin\/bash -lc/],
  ['ls | xargs python3 -c ${{ item }}', /program by python3 -c/],
  ['echo ${{ item }} "x', /double quote is never closed/],
  ['echo ${{ item }} $(x', /\$\( is never closed/],
  ['echo ${{ item }} $(( 1', /\$\(\( is never closed/],
  ["echo ${{ item }} 'x", /single quote is never closed/],
  ['cat <<A\n${{ item }}\n', /here-document is never closed/],
]
t.test('where no variable can stand an author is told so', async t => {
  for (const [command, message] of refused)
    t.throws(() => renderShell(command, { item: 'x' }), { name: 'TemplateError', message }, command)
})

t.test('a command without expressions is left alone, however odd', async t => {
  for (const odd of [`echo 'open`, 'cat <<', '$((', '"`']) t.same(renderShell(odd, {}), { command: odd, variables: {} })
  t.same(renderShell('a ${{ "x" }} "b ${{ 1 + 1 }}"', {}), {
    command: 'a "${opsc_1}" "b ${opsc_2}"',
    variables: { opsc_1: 'x', opsc_2: '2' },
  })
  t.throws(() => renderShell('echo ${{ item }}', { item: 'x'.repeat(65_537) }), /65537 bytes long/)
  t.throws(() => renderShell('echo ${{ item }}', { item: 'a\0b' }), /NUL/)
})
