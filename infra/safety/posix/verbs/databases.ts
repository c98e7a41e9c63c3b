import { parseOptions } from '../../options.ts'
import { judgeDocumentScript, judgeSql, type SqlFinding } from '../../sql.ts'
import { isDynamic } from '../../text.ts'
import { inside } from '../inside.ts'
import { emitFact } from '../report.ts'
import type { Call } from '../walk-types.ts'

/** Where a client takes statements from. `last`: the last word is one. */
type Client = { options: readonly string[]; language: 'sql' | 'document'; last?: true }

const clients = new Map<string, Client>([
  ['psql', { options: ['-c', '--command'], language: 'sql' }],
  ...['mysql', 'mariadb', 'mycli', 'percona'].map((name): [string, Client] => [
    name,
    { options: ['-e', '--execute'], language: 'sql' },
  ]),
  ['sqlite3', { options: ['-cmd'], language: 'sql', last: true }],
  ['sqlcmd', { options: ['-Q', '-q'], language: 'sql' }],
  ['isql', { options: [], language: 'sql' }],
  ['sqlplus', { options: [], language: 'sql' }],
  ['duckdb', { options: ['-c'], language: 'sql', last: true }],
  ['clickhouse-client', { options: ['-q', '--query'], language: 'sql' }],
  ['clickhouse', { options: ['-q', '--query'], language: 'sql' }],
  ['cqlsh', { options: ['-e', '--execute'], language: 'sql' }],
  ['cockroach', { options: ['-e', '--execute'], language: 'sql' }],
  ['influx', { options: ['-execute'], language: 'sql' }],
  ['bq', { options: [], language: 'sql', last: true }],
  ['hive', { options: ['-e'], language: 'sql' }],
  ['beeline', { options: ['-e'], language: 'sql' }],
  ['trino', { options: ['--execute'], language: 'sql' }],
  ['mongo', { options: ['--eval'], language: 'document' }],
  ['mongosh', { options: ['--eval'], language: 'document' }],
])

/** Statements given to a database client as an option, a word or by its input. */
export function judgeStatements(call: Call): boolean {
  const client = clients.get(call.verb.replace(/[\d.]+$/, '')) ?? clients.get(call.verb)
  if (!client) return false
  const texts = statementsOf(call, client)
  const judge = client.language === 'sql' ? judgeSql : judgeDocumentScript
  const findings = texts.flatMap(text => judge(text))
  for (const found of findings) apply(call, found)
  const hidden = texts.some(text => isDynamic(text) && text.length <= 2)
  if (hidden) emitFact(call, { effect: 'dynamic' })
  return findings.some(found => 'effect' in found) || hidden
}

function apply(call: Call, found: SqlFinding): void {
  if ('effect' in found) emitFact(call, { effect: found.effect, targets: found.targets })
  else call.walk.run.text(found.shell, inside(call.walk, call.verb))
}

function statementsOf({ verb, args, walk }: Call, { options, last }: Client): string[] {
  const short = options.flatMap(option => /^-(\w)$/.exec(option)?.[1] ?? []).join('')
  const { values, words } = parseOptions(args, {
    short: `${short}${verb === 'psql' ? 'dfhopUvFPRLT' : verb.startsWith('m') ? 'hPDS' : ''}`,
    long: options,
  })
  const given = options.flatMap(option => values.get(option) ?? [])
  const word = last && words.length > 1 ? words.slice(-1) : []
  const reads = given.length + word.length === 0 && walk.stdin.text !== null ? [walk.stdin.text] : []
  return [...given, ...word, ...reads]
}
