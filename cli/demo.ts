import { type Client, createClient } from './client.ts'
import { auditColumns } from './commands/audit.ts'
import { resourceId } from './context.ts'
import { type DemoSshServer, startSshServer } from './demo/ssh-server.ts'
import { openSystem } from './demo/system.ts'
import { exitCode } from './errors.ts'
import { followRun } from './follow.ts'
import { table } from './output.ts'
import { resolveSettings } from './settings.ts'

const TARGETS = ['web-1', 'web-2', 'web-3', 'db-1', 'db-2']
const SCRIPT = `echo "disk: $(df -h / | tail -n 1)"
for i in 1 2 3; do echo "check $i of 3"; sleep 0.2; done
echo "all good on $1"`

type Row = Record<string, unknown>
type Made = { credentialId: string; targetIds: string[]; jobId: string; demo: string }

/** What the demo claims, each held against what the system answered; one false claim and the demo fails. */
class Claims {
  readonly #broken: string[] = []
  check(claim: string, holds: boolean): void {
    console.log(`  ${holds ? '✔' : '✘'} ${claim}`)
    if (!holds) this.#broken.push(claim)
  }
  get broken(): readonly string[] {
    return this.#broken
  }
}

/** Shows the main job on a throwaway SSH server. Answers 0 only if everything it showed was true. */
export async function demo(keep: boolean): Promise<number> {
  const began = Date.now()
  heading('Starting the system: event store, Postgres, broker, vault, API, workers, executor')
  const system = await openSystem(resolveSettings({}, process.env, false).url)
  console.log(`  ${system.started ? `ready in ${seconds(began)}` : 'already up'} at ${system.url}`)
  let ssh: DemoSshServer | undefined
  try {
    ssh = await startSshServer()
    console.log(`  throwaway SSH server (${ssh.kind}) on port ${ssh.port}`)
    const claims = new Claims()
    const client = createClient(system.url, system.apiKey)
    const made = await tell(client, ssh, claims)
    if (!keep) await tidy(client, made)
    closing(system.url, system.apiKey, keep, claims, began)
    return claims.broken.length ? exitCode.failed : exitCode.ok
  } finally {
    await ssh?.stop()
    if (keep) system.leave()
    else await system.stop()
  }
}

async function tell(client: Client, ssh: DemoSshServer, claims: Claims): Promise<Made> {
  heading('1. A credential, five targets and a job, all by commands')
  const made = await prepare(client, ssh)
  console.log(`  credential demo, targets ${TARGETS.join(', ')}, job health-check with two steps`)

  heading('2. Run it on all five, output live')
  const runId = await trigger(client, made, claims)

  heading('3. The run, as the query API tells it')
  await showRun(client, runId, claims)

  heading('4. The last audit records: who did what')
  await showAudit(client, claims)

  heading('5. A change, who made it, and the past as it was')
  await showHistory(client, made, claims)
  return made
}

async function prepare(client: Client, ssh: DemoSshServer): Promise<Made> {
  const demo = `demo-${Date.now().toString(36)}`
  const secret = { kind: 'ssh-key', privateKey: ssh.privateKey }
  const credential = await client.command('create-credential', { name: 'demo', username: ssh.username, secret })
  const credentialId = resourceId(credential)
  const targets = await Promise.all(
    TARGETS.map((name, i) =>
      client.command('create-target', {
        name,
        address: ssh.hosts[i % ssh.hosts.length],
        port: ssh.port,
        tags: { demo, role: name.replace(/-.*/, '') },
        hostKey: ssh.hostKey,
        hostKeyPolicy: 'pinned',
        credentialId,
      }),
    ),
  )
  const job = await client.command('define-job', {
    name: 'health-check',
    steps: [
      {
        id: 'who',
        uses: 'ssh.command',
        with: { command: 'echo "I am $(hostname), up since $(uptime -s 2>/dev/null || date)"' },
      },
      { id: 'check', uses: 'ssh.script', with: { script: SCRIPT, arguments: ['this machine'] } },
    ],
    selection: { labels: `demo=${demo}` },
  })
  return { credentialId, targetIds: targets.map(resourceId), jobId: resourceId(job), demo }
}

async function trigger(client: Client, made: Made, claims: Claims): Promise<string> {
  const answer = await client.command('trigger-run', { jobId: made.jobId, reason: 'demo' })
  const runId = resourceId(answer)
  await client.get(`/v1/runs/${runId}`, { minPosition: answer.position })
  const code = await followRun(client, runId)
  claims.check('the run succeeded on all five targets', code === exitCode.ok)
  return runId
}

async function showRun(client: Client, runId: string, claims: Claims): Promise<void> {
  const targetRuns = await client.list<Row>(`/v1/runs/${runId}/target-runs`)
  const rows = targetRuns.map(r => ({
    target: r.targetName,
    address: r.address,
    status: r.status,
    executor: r.executorId,
  }))
  console.log(
    indent(
      table(
        rows,
        Object.keys(rows[0] ?? {}).map(key => [key, r => r[key]]),
      ),
    ),
  )
  claims.check(
    'five target runs, each succeeded',
    targetRuns.length === 5 && targetRuns.every(r => r.status === 'succeeded'),
  )
}

async function showAudit(client: Client, claims: Claims): Promise<void> {
  const records = await client.list<Row>('/v1/audit', {}, 8)
  console.log(indent(table(records, auditColumns)))
  const known = records.every(r => typeof (r.actor as Row | undefined)?.kind === 'string')
  claims.check('every record names its actor', records.length === 8 && known)
}

async function showHistory(client: Client, made: Made, claims: Claims): Promise<void> {
  const path = `/v1/targets/${made.targetIds[0]}`
  const before = await client.list<{ position: string }>('/v1/audit', {}, 1)
  const answer = await client.command('rename-target', { targetId: made.targetIds[0], name: 'web-1-renamed' })
  const now = await client.get<Row>(path, { minPosition: answer.position })
  const then = await client.get<Row>(path, { asOf: `@${before[0]?.position}` })
  console.log(`  now:             ${now.name}`)
  console.log(`  as of one moment ago: ${then.name}`)
  claims.check('the past is still what it was', now.name === 'web-1-renamed' && then.name === 'web-1')
  const blame = await client.get<{ fields: Record<string, Row> }>(`${path}/blame`)
  const name = blame.fields.name ?? {}
  const actor = name.actor as Row | undefined
  console.log(`  name was set by ${actor?.kind}:${actor?.id} with ${name.eventType} at ${name.at}`)
  claims.check('blame names the event that set the field', name.eventType === 'TargetRenamed')
}

/** The SSH server goes away, so nothing may select these targets any more; their history stays. */
async function tidy(client: Client, made: Made): Promise<void> {
  const reason = 'the demo is over'
  await client.command('archive-job', { jobId: made.jobId, reason })
  await client.command('revoke-credential', { credentialId: made.credentialId, reason })
  await Promise.all(made.targetIds.map(targetId => client.command('decommission-target', { targetId, reason })))
}

function closing(url: string, apiKey: string, keep: boolean, claims: Claims, began: number): void {
  heading(
    claims.broken.length ? `Not everything held: ${claims.broken.join('; ')}` : `All of it held, in ${seconds(began)}`,
  )
  if (keep) {
    console.log(`  The system stays up at ${url}`)
    console.log(`  API docs     ${url}/docs`)
    console.log(`  Use it       export OPSCONDUCTOR_API_KEY=${apiKey}   (this key ends by itself in 8 hours)`)
    console.log('  Then         npx opsconductor run list')
  } else {
    console.log('  Start it for good   npm start     (then open /docs and try the README’s tour)')
    console.log('  Keep the demo up    npm run demo -- --keep')
  }
}

const seconds = (since: number) => `${((Date.now() - since) / 1000).toFixed(1)} s`
const indent = (text: string) => text.replace(/^/gm, '  ')
const heading = (text: string) => console.log(`\n${text}`)
