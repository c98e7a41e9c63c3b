import { createDispatcher } from '../../command-api/dispatch.ts'
import type { CommandOf, FactsOf, RunFacts } from '../../command-api/domain/index.ts'
import { systemClock } from '../../infra/clock.ts'
import type { EventStore } from '../../infra/event-store/port.ts'
import { sha256Hex, systemIds } from '../../infra/ids.ts'
import { type AnyEvent, streams } from '../../schemas/events.ts'
import type { Meta } from '../../schemas/kernel.ts'

type Trigger = Extract<CommandOf<'run'>, { type: 'trigger-run' }>['data']
type Publish = Extract<CommandOf<'job'>, { type: 'define-job' }>['data']

const HASH = 'ab'.repeat(32)
const step = { timeoutSeconds: 60, continueOnError: false, idempotent: false }
export const uptime = { ...step, id: 'uptime', uses: 'ssh.command', with: { command: 'uptime' } } as const

/** Writes what a run needs straight through the rules, without the HTTP side and without a vault. */
export function resourcesIn(store: EventStore) {
  const dispatcher = createDispatcher({ store })
  const meta = (): Meta => {
    const commandId = systemIds.next()
    const actor = { kind: 'user', id: 'anna' } as const
    const ids = { commandId, $correlationId: commandId, $causationId: commandId }
    return { ...ids, actor, origin: { channel: 'cli' }, at: systemClock.now() }
  }
  const target = async (name: string, credentialId: string): Promise<string> => {
    const targetId = systemIds.next()
    const described = { platform: 'linux', tags: {}, hostKeyPolicy: 'first-use', credentialId } as const
    const data = { targetId, name, address: '127.0.0.1', port: 22, ...described }
    await dispatcher.dispatch('target', { type: 'create-target', data }, { meta: meta(), facts: undefined })
    return targetId
  }
  return {
    meta,
    dispatcher,
    target,
    async targets(count: number, credentialId: string): Promise<string[]> {
      return Promise.all(Array.from({ length: count }, (_, i) => target(`web-${i}`, credentialId)))
    },
    async credential(name = 'deploy'): Promise<string> {
      const credentialId = systemIds.next()
      const sealed = { sealId: systemIds.next(), kekId: 'kek-1', fingerprint: HASH, ciphertextDigest: HASH }
      const data = { credentialId, name, username: 'deploy' }
      const facts = { secret: { kind: 'password', version: 1, sealed } } as const
      await dispatcher.dispatch('credential', { type: 'create-credential', data }, { meta: meta(), facts })
      return credentialId
    },
    async job(definition: Partial<Publish> = {}): Promise<string> {
      const jobId = systemIds.next()
      const data = { name: 'uptime', steps: [uptime], ...definition, jobId }
      await dispatcher.dispatch('job', { type: 'define-job', data }, { meta: meta(), facts: { digest: HASH } })
      return jobId
    },
    async trigger(
      jobId: string,
      targetIds: string[],
      credentialId: string,
      more: Partial<Trigger> = {},
      known: Partial<RunFacts> = {},
    ) {
      const runId = more.runId ?? systemIds.next()
      const facts = async (): Promise<FactsOf<'run'>> => ({
        job: (await dispatcher.load('job', streams.job(jobId))).state,
        targets: targetIds.map(targetId => ({ targetId, status: 'active' as const, credentialId })),
        credentials: new Map([[credentialId, 'active' as const]]),
        ...known,
      })
      const data = { jobId, selection: { targetIds }, ...more, runId }
      await dispatcher.dispatch('run', { type: 'trigger-run', data }, { meta: meta(), facts })
      return runId
    },
    /** Lets an executor in, as with a token. */
    async enrol(executorId: string, publicKey: string, pool = 'default'): Promise<void> {
      const tokenHash = sha256Hex(systemIds.next())
      const invited = { executorId, tokenHash, pool, expiresSeconds: 3_600 }
      const come = { executorId, tokenHash, publicKey, version: '0.1.0', protocol: 1 }
      const none = { facts: undefined }
      await dispatcher.dispatch('executor', { type: 'invite-executor', data: invited }, { meta: meta(), ...none })
      await dispatcher.dispatch('executor', { type: 'enrol-executor', data: come }, { meta: meta(), ...none })
    },
    async send<N extends 'run' | 'target' | 'credential' | 'executor'>(name: N, command: CommandOf<N>) {
      // None of the commands sent this way asks for facts.
      await dispatcher.dispatch(name, command, { meta: meta(), facts: {} as FactsOf<N> })
    },
    async events(stream: string): Promise<AnyEvent[]> {
      return (await store.read(stream)).events.map(({ type, data }) => ({ type, data }) as AnyEvent)
    },
    async types(stream: string): Promise<string[]> {
      return (await store.read(stream)).events.map(event => event.type)
    },
  }
}
export type Resources = ReturnType<typeof resourcesIn>
