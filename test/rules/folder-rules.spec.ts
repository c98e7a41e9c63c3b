import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import t from 'tap'

const root = process.cwd()
const require = createRequire(path.join(root, 'package.json'))
const { forbidden }: { forbidden: { name: string }[] } = require(path.join(root, '.dependency-cruiser.cjs'))

type Plant = [rule: string, file: string, imports: string]

/** For every rule at least one import that breaks it. */
const broken: Plant[] = [
  ['schemas-imports', 'schemas/a.ts', '../infra/log.ts'],
  ['domain-imports', 'command-api/domain/a.ts', '../../infra/log.ts'],
  ['domain-imports', 'command-api/domain/b.ts', '../routes.ts'],
  ['infra-imports', 'infra/a.ts', '../reactors/main.ts'],
  ['command-api-imports', 'command-api/a.ts', '../query-api/main.ts'],
  ['query-api-imports', 'query-api/a.ts', '../projectors/main.ts'],
  ['projectors-imports', 'projectors/a.ts', '../query-api/main.ts'],
  ['reactors-imports', 'reactors/a.ts', '../command-api/routes.ts'],
  ['executors-imports', 'executors/a.ts', '../vault/main.ts'],
  ['vault-imports', 'vault/a.ts', '../executors/main.ts'],
  ['ui-imports', 'ui/a.ts', '../infra/log.ts'],
  ['cli-imports', 'cli/a.ts', '../infra/log.ts'],
  ['query-api-without-event-store', 'query-api/b.ts', '../infra/event-store/client.ts'],
  ['executors-without-log-and-postgres', 'executors/b.ts', '../infra/event-store/client.ts'],
  ['executors-without-log-and-postgres', 'executors/c.ts', '../infra/postgres.ts'],
  ['schemas-need-only-zod', 'schemas/b.ts', 'luxon'],
  ['schemas-need-only-zod', 'schemas/c.ts', 'node:crypto'],
  ['domain-is-pure', 'command-api/domain/c.ts', 'node:fs'],
  ['domain-is-pure', 'command-api/domain/d.ts', 'uuid'],
  ['embedded-parts-stay-behind-the-entry', 'projectors/b.ts', '../infra/embedded/broker/index.ts'],
  ['embedded-parts-stay-behind-the-entry', 'infra/b.ts', './embedded/broker/index.ts'],
  ['one-place-event-store-client', 'infra/c.ts', '@eventstore/db-client'],
  ['one-place-grpc', 'infra/d.ts', '@grpc/grpc-js'],
  ['one-place-lmdb', 'vault/b.ts', 'lmdb'],
  ['one-place-pg', 'query-api/c.ts', 'pg'],
  ['one-place-nats', 'executors/d.ts', 'nats'],
  ['one-place-ssh2', 'infra/e.ts', 'ssh2'],
  ['one-place-fastify', 'reactors/b.ts', 'fastify'],
  ['one-place-fastify', 'vault/c.ts', '@fastify/helmet'],
  ['one-place-pino', 'reactors/c.ts', 'pino'],
  ['one-place-shell-parsers', 'executors/e.ts', 'unbash'],
  ['one-place-cel', 'executors/cel.ts', '@marcbachmann/cel-js'],
  ['one-place-re2', 'reactors/re2.ts', 're2js'],
  ['one-place-commander', 'infra/f.ts', 'commander'],
  ['outbound-http-in-one-place', 'executors/http.ts', 'node:http'],
  ['outbound-http-in-one-place', 'reactors/https.ts', 'node:https'],
  ['outbound-http-in-one-place', 'vault/http2.ts', 'node:http2'],
  ['outbound-http-in-one-place', 'infra/operator/http.ts', 'http'],
  ['outbound-http-in-one-place', 'command-api/undici.ts', 'undici'],
  ['shipped-code-without-tests-and-benches', 'infra/g.ts', '../test/support/broker.ts'],
  ['shipped-code-without-tests-and-benches', 'cli/b.ts', '../bench/main.ts'],
  ['shipped-code-without-dev-packages', 'infra/h.ts', 'fast-check'],
  ['shipped-code-without-dev-packages', 'vault/d.ts', '@hpke/core'],
  ['no-cycles', 'vault/e.ts', './f.ts'],
  ['nothing-unresolved', 'vault/g.ts', './missing.ts'],
]

/** Near misses: as close to a broken rule as is allowed. */
const allowed: [file: string, imports: string][] = [
  ['command-api/domain/ok.ts', '../../schemas/ok.ts'],
  ['command-api/domain/ok-time.ts', 'luxon'],
  ['schemas/ok.ts', 'zod'],
  ['reactors/ok.ts', '../command-api/dispatch.ts'],
  ['reactors/ok-domain.ts', '../command-api/domain/ok.ts'],
  ['query-api/ok.ts', '../infra/postgres.ts'],
  ['infra/postgres.ts', 'pg'],
  ['infra/event-store/client.ts', '@eventstore/db-client'],
  ['executors/ok.ts', 'ssh2'],
  ['command-api/domain/workflow/ok.ts', '@marcbachmann/cel-js'],
  ['command-api/domain/workflow/ok-pattern.ts', 're2js'],
  ['executors/output/ok.ts', 're2js'],
  ['executors/ok.int.spec.ts', '../infra/postgres.ts'],
  ['vault/ok.spec.ts', '../test/support/broker.ts'],
  ['infra/egress/ok.ts', 'node:https'],
  ['infra/egress/ok.spec.ts', 'node:http'],
  ['executors/ok-net.ts', 'node:net'],
  ['opsconductor.ts', './infra/embedded/broker/index.ts'],
]

const existing = [
  'infra/log.ts',
  'infra/embedded/broker/index.ts',
  'command-api/routes.ts',
  'command-api/dispatch.ts',
  'query-api/main.ts',
  'projectors/main.ts',
  'reactors/main.ts',
  'executors/main.ts',
  'vault/main.ts',
  'test/support/broker.ts',
  'bench/main.ts',
]

type Violation = { from: string; rule: { name: string } }

function cruise(folder: string): { violations: Violation[]; totalCruised: number } {
  const tool = path.join(root, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs')
  const args = [tool, '--config', '.dependency-cruiser.cjs', '--output-type', 'json', '.']
  const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8', maxBuffer: 64 << 20 })
  if (!stdout.startsWith('{')) throw new Error(stderr)
  return JSON.parse(stdout).summary
}

function plant(folder: string): void {
  const write = (file: string, content: string) => {
    mkdirSync(path.dirname(path.join(folder, file)), { recursive: true })
    writeFileSync(path.join(folder, file), content)
  }
  for (const file of ['.dependency-cruiser.cjs', 'tsconfig.json', 'package.json']) {
    cpSync(path.join(root, file), path.join(folder, file))
  }
  symlinkSync(realpathSync(path.join(root, 'node_modules')), path.join(folder, 'node_modules'))
  for (const file of existing) write(file, 'export const x = 1\n')
  for (const [file, imports] of [...broken.map(([, ...planted]) => planted), ...allowed]) {
    write(file, `import * as planted from '${imports}'\nexport const used = planted\n`)
  }
  write('vault/f.ts', `import * as planted from './e.ts'\nexport const used = planted\n`)
}

const folder = t.testdir()
plant(folder)
const { violations, totalCruised } = cruise(folder)
const brokenBy = (file: string) => violations.filter(({ from }) => from === file).map(({ rule }) => rule.name)

t.test('every folder rule refuses a planted import', async t => {
  for (const [rule, file, imports] of broken) {
    const found = brokenBy(file)
    t.ok(found.includes(rule), `${file} importing ${imports} breaks ${rule}`, { found })
  }
  const proven = new Set(broken.map(([rule]) => rule))
  const unproven = forbidden.map(({ name }) => name).filter(name => !proven.has(name))
  t.same(unproven, [], 'no rule is without its proof')
})

t.test('no folder rule refuses what stands just beside', async t => {
  for (const [file, imports] of allowed) t.same(brokenBy(file), [], `${file} importing ${imports} is allowed`)
})

t.test('every module is looked at', async t => {
  t.ok(totalCruised >= broken.length + allowed.length + existing.length, `${totalCruised} modules were cruised`)
})
