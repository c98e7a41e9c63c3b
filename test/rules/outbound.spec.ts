import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'

const root = process.cwd()
const folder = t.testdir()

/** The linter's findings in one planted file. */
function lint(file: string, text: string): { status: number | null; said: string } {
  const planted = path.join(folder, file)
  mkdirSync(path.dirname(planted), { recursive: true })
  writeFileSync(planted, text)
  const biome = path.join(root, 'node_modules/@biomejs/biome/bin/biome')
  const options = { cwd: folder, encoding: 'utf8' } as const
  const { status, stdout, stderr } = spawnSync(process.execPath, [biome, 'lint', '--vcs-enabled=false', file], options)
  return { status, said: `${stdout}${stderr}` }
}

t.test('whatever is asked of others goes through the guarded client', async t => {
  cpSync(path.join(root, 'biome.json'), path.join(folder, 'biome.json'))
  const asks = "export const answer = await fetch('https://example.org')\n"
  for (const role of ['executors', 'reactors', 'command-api', 'query-api', 'vault', 'infra', 'projectors', 'roles']) {
    const { status, said } = lint(`${role}/a.ts`, asks)
    t.equal(status, 1, `${role} with a fetch of its own`)
    t.match(said, /noRestrictedGlobals/)
  }
  t.equal(lint('vault/b.ts', "export const socket = new WebSocket('wss://example.org')\n").status, 1)
  for (const file of ['cli/a.ts', 'vault/a.spec.ts', 'bench/a.ts']) t.equal(lint(file, asks).status, 0, file)
  const own = 'const fetch = (path: string) => path\nexport const file = fetch("a")\n'
  t.equal(lint('executors/d.ts', own).status, 0, 'something else of that name')
})

t.test('nor by the long way round, which the linter does not see', async t => {
  const roles = ['command-api', 'query-api', 'projectors', 'reactors', 'executors', 'vault', 'infra', 'roles']
  const files = roles.flatMap(role =>
    readdirSync(path.join(root, role), { recursive: true, encoding: 'utf8' }).map(file => path.join(role, file)),
  )
  const shipped = files.filter(file => file.endsWith('.ts') && !file.endsWith('.spec.ts'))
  t.ok(shipped.length > 300, `${shipped.length} files were read`)
  const long = /global(This)?\s*(\.|\[['"`])\s*(fetch|WebSocket|EventSource)/
  t.ok(long.test("globalThis['fetch']('https://example.org')"))
  const asking = shipped.filter(file => long.test(readFileSync(path.join(root, file), 'utf8')))
  t.same(asking, [])
})
