import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { pino } from 'pino'
import type { Test } from 'tap'
import { type Bus, connectBus, requestJson } from '../../infra/bus.ts'
import { loadConfig } from '../../infra/config.ts'
import { connectEventStore } from '../../infra/event-store/client.ts'
import type { EventStore, NewEvent } from '../../infra/event-store/port.ts'
import { hpkeOpen, hpkeSeal, newHpkeKeyPair, releaseInfo, sealInfo } from '../../infra/hpke.ts'
import { type Identity, loadOrCreateIdentity, releaseSignedText } from '../../infra/identity.ts'
import { runStages } from '../../infra/lifecycle.ts'
import { type ReleaseRequest, releaseReply, sealReply, subjects, vaultPublicKey } from '../../schemas/bus.ts'
import { type CredentialKind, kindOf, type Sealed, type SecretMaterial } from '../../schemas/credential.ts'
import { type AnyEvent, streams } from '../../schemas/events.ts'
import type { StepSecret } from '../../schemas/target-run.ts'
import { start } from '../../vault/main.ts'
import { startBroker } from './broker.ts'
import { startEventStore } from './event-store.ts'
import { freshDatabase } from './postgres.ts'

const TIMEOUT = { timeoutMs: 10_000 }
const silent = pino({ level: 'silent' })

/** A vault with everything it needs, and the two sides it talks to. */
export async function vaultBench(t: Test) {
  const dir = mkdtempSync(join(tmpdir(), 'opsc-vault-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const [events, broker, { url: databaseUrl }] = await Promise.all([
    startEventStore(t),
    startBroker(t),
    freshDatabase(t),
  ])
  const store = connectEventStore(events.connectionString)
  const bus = await connectBus({ url: broker.url, name: 'spec', log: silent })
  t.teardown(async () => {
    await bus.close()
    await store.close()
  })
  const settings = {
    OPSCONDUCTOR_DATA_DIR: join(dir, 'data'),
    OPSCONDUCTOR_EVENTSTORE_URL: events.connectionString,
    OPSCONDUCTOR_POSTGRES_URL: databaseUrl,
    OPSCONDUCTOR_NATS_URL: broker.url,
  }
  const identity = (name: string) => loadOrCreateIdentity(join(dir, name, 'identity.pem'))
  const bench = { dir, events, store, bus, databaseUrl, settings, identity, ...logged() }
  return {
    ...bench,
    ...sides(store, bus),
    startVault: (own: object = {}) => startVault(t, { ...settings, ...own }, bench.log),
  }
}

export type VaultBench = Awaited<ReturnType<typeof vaultBench>>

function logged() {
  const lines: string[] = []
  const sink = new Writable({
    write(chunk, _, done) {
      lines.push(String(chunk))
      done()
    },
  })
  return { lines, log: pino({ level: 'debug' }, sink) }
}

async function startVault(t: Test, settings: NodeJS.ProcessEnv, log: ReturnType<typeof logged>['log']) {
  const role = await start(loadConfig(settings), log)
  let stopped: Promise<boolean> | undefined
  const stop = () => {
    stopped ??= runStages(role.stop, log)
    return stopped
  }
  t.teardown(stop)
  return { role, stop }
}

export type Ask = {
  runId: string
  n: number
  epoch: number
  executorId: string
  credentialId: string
  version: number
  stepId?: string
}

function sides(store: EventStore, bus: Bus) {
  const append = async (stream: string, ...facts: AnyEvent[]) => {
    const { revision } = await store.read(stream)
    await store.append(stream, facts.map(toNewEvent), revision)
  }
  const publicKey = () => requestJson(bus, subjects.vaultPublicKey, vaultPublicKey, {}, TIMEOUT)
  const sealRaw = async (
    of: { credentialId: string; version: number; kind: CredentialKind },
    content: string,
    change: object = {},
  ) => {
    const key = await publicKey()
    const sealed = hpkeSeal(key.publicKey, sealInfo(of.credentialId, of.version), Buffer.from(content))
    return await requestJson(
      bus,
      subjects.vaultSeal,
      sealReply,
      { ...of, keyId: key.keyId, ...sealed, ...change },
      TIMEOUT,
    )
  }
  const seal = async (credentialId: string, version: number, secret: SecretMaterial): Promise<Sealed> => {
    const answer = await sealRaw({ credentialId, version, kind: kindOf(secret) }, JSON.stringify(secret))
    if ('error' in answer) throw new Error(`${answer.error}: ${answer.detail}`)
    return answer
  }
  /** As the command API does it: seal, then append. */
  const addVersion = async (
    credentialId: string,
    version: number,
    secret: SecretMaterial,
    own: { expiresAt?: string } = {},
  ): Promise<Sealed> => {
    const sealed = await seal(credentialId, version, secret)
    await append(streams.credential(credentialId), {
      type: 'CredentialVersionAdded',
      data: { credentialId, version, kind: kindOf(secret), ...sealed, ...own },
    })
    return sealed
  }
  const enrolled = new Set<string>()
  const enrol = async (executorId: string, { publicKey }: Identity): Promise<void> => {
    if (enrolled.has(`${executorId} ${publicKey}`)) return
    enrolled.add(`${executorId} ${publicKey}`)
    const program = { version: '0.1.0', protocol: 1, tokenHash: 'ab'.repeat(32) }
    const data = { executorId, publicKey, pool: 'default', labels: {}, ...program }
    await append(streams.executor(executorId), { type: 'ExecutorEnrolled', data })
  }
  const claim = async (
    of: Ask,
    executor: Identity,
    credential: { credentialId: string; version: number } | null = of,
    secrets: StepSecret[] = [],
  ) => {
    await enrol(of.executorId, executor)
    await append(streams.targetRun(of.runId, of.n), {
      type: 'TargetRunClaimed',
      data: {
        runId: of.runId,
        n: of.n,
        targetId: randomUUID(),
        epoch: of.epoch,
        executorId: of.executorId,
        executorKey: executor.publicKey,
        deadline: '2030-01-01T00:00:15.000Z',
        steps: [{ id: 'hello', idempotent: false, continueOnError: false }],
        ...(credential && { credential: { credentialId: credential.credentialId, version: credential.version } }),
        ...(secrets.length > 0 && { secrets }),
        target: { name: 'db1', address: '127.0.0.1', port: 22 },
      },
    })
  }
  const sendAsk = (request: ReleaseRequest) => requestJson(bus, subjects.vaultRelease, releaseReply, request, TIMEOUT)
  /** As an executor does it. Answers the opened secret, or the refusal. */
  const ask = async (of: Ask, executor: Identity, change: Partial<ReleaseRequest> = {}) => {
    const pair = newHpkeKeyPair()
    const asked = { ...of, ephemeralKey: pair.publicKey }
    const request = { ...asked, signature: executor.sign(releaseSignedText(asked)), ...change }
    const answer = await sendAsk(request)
    if ('error' in answer) return { request, error: answer.error, detail: answer.detail }
    return {
      request,
      answer,
      secret: JSON.parse(Buffer.from(hpkeOpen(pair, releaseInfo(of), answer)).toString()),
    }
  }
  const released = async (of: { runId: string; n: number }) =>
    (await store.read(streams.release(of.runId, of.n))).events
  return { append, enrol, publicKey, sealRaw, seal, addVersion, claim, sendAsk, ask, released }
}

function toNewEvent(event: AnyEvent): NewEvent {
  const id = randomUUID()
  const metadata = {
    commandId: id,
    $correlationId: id,
    $causationId: id,
    actor: { kind: 'system' as const, id: 'spec' },
    origin: { channel: 'system' as const },
    at: '2030-01-01T00:00:00.000Z',
  }
  return { ...event, id, metadata }
}
