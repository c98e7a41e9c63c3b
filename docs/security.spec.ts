import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'

const root = process.cwd()
const text = readFileSync(path.join(root, 'docs/security.md'), 'utf8')

type Row = { number: number; attack: string; spec: string; covered: string }

/** The rows of the table of attacks. */
const rows: Row[] = text.split('\n').flatMap(line => {
  const [, number, attack = '', spec = '', covered = ''] = /^\| (\d+) \| (.+?) \| (.+?) \| (.+) \|$/.exec(line) ?? []
  return number === undefined ? [] : [{ number: Number(number), attack, spec, covered }]
})
const filesIn = (cell: string) => [...cell.matchAll(/`([^`]+\.spec\.ts)`/g)].map(([, file = '']) => file)

t.test('each of the 60 attacks is there, once and in order', async t => {
  t.same(
    rows.map(({ number }) => number),
    Array.from({ length: 60 }, (_, n) => n + 1),
  )
})

t.test('each names specs that exist, or says why there is none', async t => {
  for (const { number, attack, spec, covered } of rows) {
    const files = filesIn(spec)
    t.ok(files.length > 0 || spec === 'not yet', `${number} ${attack}`)
    t.ok(covered.length > 2, `${number} says what is covered`)
    for (const file of [...files, ...filesIn(covered)]) t.ok(existsSync(path.join(root, file)), `${number}: ${file}`)
  }
})

t.test('every setting that is named is one', async t => {
  const config = readFileSync(path.join(root, 'infra/config.ts'), 'utf8')
  const named = new Set([...text.matchAll(/OPSCONDUCTOR_[A-Z_]+[A-Z]/g)].map(([name]) => name))
  t.ok(named.size > 5)
  for (const name of named) t.ok(config.includes(`  ${name}:`), name)
})
