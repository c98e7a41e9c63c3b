import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import pino from 'pino'
import { administratorHolder, createAccessState, type Holder, holderOf, putVersion } from '../infra/access.ts'
import { systemClock } from '../infra/clock.ts'
import { runPostgres } from '../infra/embedded/postgres/run.ts'
import { connectEventStore } from '../infra/event-store/client.ts'
import { derivedId, systemIds } from '../infra/ids.ts'
import { createPool } from '../infra/postgres.ts'
import { ensureReadModel, LIVE } from '../projectors/schema.ts'
import type { Scope } from '../schemas/access.ts'
import { commandApi } from '../test/support/command-api.ts'
import { startEventStore } from '../test/support/event-store.ts'
import { serveQueries } from '../test/support/query-api.ts'
import { type Emit, measurement } from './measurement.ts'
import { quantile } from './support/open-loop.ts'
import { signInFlood } from './support/sign-in-flood.ts'
import { ending } from './support/system.ts'

const GRANTS = 50
const TARGETS = 100_000
const COMMANDS = 2_000
const LISTS = 300
const CHECKS = 20_000
const log = pino({ level: 'silent' })
const userId = derivedId('bench user')

/**
 * What asking for permission costs a command, what showing only what may be seen costs a list, and what others feel of a
 * flood of attempts to sign in.
 */
export async function run(emit: Emit, scale: number): Promise<void> {
  await commands(emit, Math.round(COMMANDS * scale))
  await lists(emit, Math.round(TARGETS * scale))
  await signInFlood(emit, scale)
}

/** Somebody with so many grants of a role. */
function granted(role: string, scopes: readonly Scope[]): Holder {
  const state = createAccessState()
  for (const [i, scope] of scopes.entries()) {
    const grantId = derivedId('bench grant', i)
    const principal = { kind: 'user', id: userId } as const
    const row = {
      grantId,
      name: role,
      principal,
      role,
      scope,
      expiresAt: null,
      reason: 'bench',
      status: 'active' as const,
    }
    putVersion(state, 'grant', { id: grantId, revision: 0n, state: row })
  }
  const who = { kind: 'user', id: userId } as const
  return holderOf({ state: () => state, who, actor: who, clock: systemClock })
}

const labels = (text: string): Scope => ({ kind: 'labels', labels: text })

async function commands(emit: Emit, count: number): Promise<void> {
  const t = ending()
  try {
    const node = await startEventStore(t)
    const store = connectEventStore(node.connectionString)
    t.teardown(() => store.close())
    const scopes = Array.from({ length: GRANTS }, (_, i) => labels(`env=prod,team=t${i}`))
    const holders: Record<string, Holder> = {
      administrator: administratorHolder({ kind: 'api-key', id: 'administrator' }),
      granted: granted('target-admin', scopes),
    }
    const vault = { seal: () => Promise.reject(new Error('nothing is sealed here')) }
    const api = await commandApi(t, { store, vault, holder: key => holders[key] })
    const tags = { env: 'prod', team: `t${GRANTS - 1}` }
    const send = async (who: string) => {
      const data = { targetId: systemIds.next(), name: 'bench', address: '192.0.2.1', tags }
      const began = performance.now()
      const { statusCode, body } = await api.send('create-target', data, { authorization: `Bearer ${who}` })
      if (statusCode !== 201) throw new Error(body)
      return performance.now() - began
    }
    const times: Record<string, number[]> = { administrator: [], granted: [] }
    // By turns, so that whatever else the machine does meets both.
    for (let i = 0; i < count + 100; i += 1)
      for (const who of i % 2 ? ['administrator', 'granted'] : ['granted', 'administrator']) {
        const took = await send(who)
        if (i >= 100) times[who]?.push(took)
      }
    const p50 = (who: string) => quantile(times[who] ?? [], 0.5)
    emit(measurement('auth.command.p50', 'ms', [p50('granted')], p50('administrator')))
    emit(measurement('auth.command.added', 'ms', [p50('granted') - p50('administrator')], 0.2))
    emit(measurement('auth.check.p50', 'ms', [quantile(checks(holders.granted, tags), 0.5)], 0.2))
  } finally {
    await t.end()
  }
}

/** What a command asks of permissions, by itself: of the grants there are the last one fits. */
function checks(holder: Holder | undefined, tags: Record<string, string>): number[] {
  const times: number[] = []
  for (let i = 0; i < CHECKS; i += 1) {
    const began = performance.now()
    holder?.permits('target:write')
    holder?.scopes('target:write')
    holder?.permitsOn('target:write', { kind: 'target', id: userId, tags })
    times.push(performance.now() - began)
  }
  return times
}

async function lists(emit: Emit, targets: number): Promise<void> {
  const t = ending()
  try {
    const dataDir = mkdtempSync(path.join(tmpdir(), 'opsc-bench-'))
    t.teardown(() => rmSync(dataDir, { recursive: true, force: true }))
    const postgres = await runPostgres({ dataDir: path.join(dataDir, 'pg'), log })
    t.teardown(() => postgres.stop())
    const { url } = postgres
    const pool = createPool(url, log, { max: 2 })
    t.teardown(() => pool.end())
    await ensureReadModel(pool)
    await pool.query(MANY_TARGETS, [targets])
    await pool.query(`vacuum analyze ${LIVE}.resource_version`)
    const each = (text: (i: number) => string) => Array.from({ length: GRANTS }, (_, i) => labels(text(i)))
    const one = (i: number): Scope => ({ kind: 'resource', resource: { kind: 'target', id: idOf(i * 97) } })
    const holders: Record<string, Holder> = {
      everything: administratorHolder({ kind: 'api-key', id: 'administrator' }),
      'half of them': granted(
        'viewer',
        each(i => `team=t${i}`),
      ),
      'one in a hundred': granted(
        'viewer',
        each(i => `env=prod,team=t${i},rack=r${i % 10}`),
      ),
      'by one tag each': granted(
        'viewer',
        each(i => `owner=o${i}`),
      ),
      'fifty by id': granted(
        'viewer',
        Array.from({ length: GRANTS }, (_, i) => one(i)),
      ),
    }
    const { http } = await serveQueries(t, url, key => holders[key.replaceAll('-', ' ')])
    const asked = ['/v1/targets', '/v1/targets?sort=-id', '/v1/targets?labels=env%3Dprod', '/v1/targets?name=99']
    const answer = async (who: string, path: string) => {
      const began = performance.now()
      const headers = { authorization: `Bearer ${who.replaceAll(' ', '-')}` }
      const { statusCode, body } = await http.inject({ url: path, headers })
      if (statusCode !== 200) throw new Error(body)
      return performance.now() - began
    }
    for (const who of Object.keys(holders)) {
      const times: number[] = []
      for (const query of asked) {
        for (let i = 0; i < LISTS / asked.length; i += 1) times.push(await answer(who, query))
      }
      const name = who.replaceAll(' ', '-')
      emit(measurement(`auth.list.${name}.p99`, 'ms', [quantile(times, 0.99)], 50))
    }
  } finally {
    await t.end()
  }
}

const idOf = (n: number) => `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`

/** As the projection would leave them, without the 100,000 events. */
const MANY_TARGETS = `
  insert into ${LIVE}.resource_version
    (kind, id, revision, state, visible, valid_from, valid_from_time, event_id, event_type, actor, changed)
  select 'target', '00000000-0000-7000-8000-' || lpad(n::text, 12, '0'), 0,
    jsonb_build_object('targetId', '00000000-0000-7000-8000-' || lpad(n::text, 12, '0'),
      'name', 'target-' || (n * 7919) % 1000003, 'address', '192.0.2.1', 'port', 22, 'platform', 'linux', 'status', 'active',
      'hostKeyPolicy', 'first-use', 'hostKey', null, 'hostKeySource', null, 'credentialId', null,
      'tags', jsonb_build_object('env', case n % 3 when 0 then 'prod' else 'lab' end, 'team', 't' || n % 100,
        'rack', 'r' || (n / 100) % 40, 'owner', 'o' || n % 5000)),
    true, n, '2026-01-01T00:00:00Z', gen_random_uuid(), 'TargetRegistered', '{"kind":"user","id":"bench"}', '[]'
  from generate_series(0, $1 - 1) n`
