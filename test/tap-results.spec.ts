import t from 'tap'
import { TapReader } from './tap-results.ts'

function read(text: string) {
  const reader = new TapReader()
  const files = text.split('\n').flatMap(line => reader.line(line) ?? [])
  return { ...reader.results, files }
}

t.test('only leaves are counted, whatever the nesting', async t => {
  const told = read(`TAP version 14
# Subtest: build/a.spec.js
    # Subtest: outer
        ok 1 - x
        # Subtest: inner
            ok 1 - y
            not ok 2 - z
              ---
              found: "ok 7 - not a point"
              ...
            1..2
        not ok 2 - inner # time=3ms
        1..2
    not ok 1 - outer # time=5ms
    1..1
not ok 1 - build/a.spec.js # time=9ms
1..1`)
  t.same(told, { passed: 2, failed: 1, skipped: [], files: [{ file: 'build/a.spec.js', ok: false }] })
})

t.test('a file that crashed without a failed check is one failure', async t => {
  const told = read(`# Subtest: build/a.spec.js
    ok 1 - fine
    1..1
not ok 1 - build/a.spec.js # time=9ms
# Subtest: build/b.spec.js
    ok 1 - fine
    1..1
ok 2 - build/b.spec.js # time=9ms`)
  t.match(told, { passed: 2, failed: 1 })
  t.same(
    told.files.map(({ ok }) => ok),
    [false, true],
  )
})

t.test('what is skipped is told with its reason and is no success', async t => {
  const told = read(`# Subtest: build/a.spec.js
    # Subtest: over ssh
        1..0 # needs sshd
    ok 1 - over ssh # SKIP needs sshd
    ok 2 - later # SKIP
    not ok 3 - one day # TODO
    1..3
ok 1 - build/a.spec.js # time=1ms`)
  t.match(told, { passed: 1, failed: 0, skipped: ['over ssh skipped: needs sshd', 'later skipped:'] })
})

t.test('a file without a single check is a failure', async t => {
  const told = read(`# Subtest: build/a.spec.js
    1..0 # no tests found
ok 1 - build/a.spec.js # SKIP no tests found`)
  t.match(told, { passed: 0, failed: 1, skipped: [], files: [{ file: 'build/a.spec.js', ok: false }] })
})
