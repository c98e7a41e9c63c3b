import pino from 'pino'
import t from 'tap'
import { connectBus } from '../infra/bus.ts'
import { systemClock } from '../infra/clock.ts'
import { connectEventStore } from '../infra/event-store/client.ts'
import { systemIds } from '../infra/ids.ts'
import type { PrincipalRef } from '../schemas/access.ts'
import { type AnyEvent, streams } from '../schemas/events.ts'
import type { Actor } from '../schemas/kernel.ts'
import { startBroker } from '../test/support/broker.ts'
import { startEventStore } from '../test/support/event-store.ts'
import { ExecutorSide } from '../test/support/executor-side.ts'
import { until } from '../test/support/process.ts'
import { resourcesIn, uptime } from '../test/support/resources.ts'
import { Engine } from './engine.ts'

const log = pino({ level: 'silent' })
const [node, broker] = await Promise.all([startEventStore(t), startBroker(t)])
const store = connectEventStore(node.connectionString)
const bus = await connectBus({ url: broker.url, name: 'reactors', log })
const executorBus = await connectBus({ url: broker.url, name: 'executor', log })
const engine = new Engine({
  ...{ store, bus, log, leaseSeconds: 15, clock: systemClock, ids: systemIds, after: undefined },
  storeOutput: async () => [],
})
void engine.run()
t.teardown(async () => {
  await engine.stop()
  await Promise.all([bus.close(), executorBus.close()])
  await store.close()
})
const made = resourcesIn(store)
const executor = new ExecutorSide(executorBus, made.enrol)
const credentialId = await made.credential()

async function grant(principal: PrincipalRef, kind: 'job' | 'target' | 'credential', id: string): Promise<string> {
  const grantId = systemIds.next()
  const data = { grantId, principal, role: 'operator', scope: { kind: 'resource', resource: { kind, id } } } as const
  const facts = { role: 'active', principal: 'active' } as const
  const command = { type: 'grant-role', data: { ...data, reason: 'spec' } } as const
  await made.dispatcher.dispatch('grant', command, { meta: made.meta(), facts })
  return grantId
}
async function revoke(grantId: string): Promise<void> {
  const command = { type: 'revoke-role', data: { grantId, reason: 'left' } } as const
  await made.dispatcher.dispatch('grant', command, { meta: made.meta(), facts: undefined })
}
/** Somebody who may run this job with all it takes. */
async function operator(jobIds: string[], targetIds: string[]) {
  const who = { kind: 'user', id: systemIds.next() } as const
  for (const jobId of jobIds) await grant(who, 'job', jobId)
  const ofTargets = new Map<string, string>()
  for (const id of targetIds) ofTargets.set(id, await grant(who, 'target', id))
  return { who, ofTargets, ofCredential: await grant(who, 'credential', credentialId) }
}
/** As the command API has it recorded. */
async function trigger(jobId: string, targetIds: string[], runAs: PrincipalRef, actor: Actor = runAs as Actor) {
  const runId = systemIds.next()
  const authorisedBy = { kind: 'grant', grantId: systemIds.next(), role: 'operator' } as const
  const facts = {
    job: (await made.dispatcher.load('job', streams.job(jobId))).state,
    targets: targetIds.map(targetId => ({ targetId, status: 'active' as const, credentialId })),
    credentials: new Map([[credentialId, 'active' as const]]),
    authority: { authorisedBy, runAs },
  }
  const command = { type: 'trigger-run', data: { runId, jobId, selection: { targetIds } } } as const
  await made.dispatcher.dispatch('run', command, { meta: { ...made.meta(), actor }, facts })
  return runId
}
async function eventOf<T extends AnyEvent['type']>(stream: string, type: T) {
  let found: AnyEvent | undefined
  await until(`${type} in ${stream}`, async () => {
    found = (await made.events(stream)).find(event => event.type === type)
    return found !== undefined
  })
  return found?.data
}

t.test('a target whose right was lost while the run waited is not begun with; the others go on', async t => {
  const [web, lab] = (await made.targets(2, credentialId)) as [string, string]
  const jobId = await made.job()
  const { who, ofTargets } = await operator([jobId], [web, lab])
  const runId = await trigger(jobId, [web, lab], who)
  await revoke(ofTargets.get(lab) ?? '')
  const assignments = await executor.pull()
  t.same(
    assignments.map(each => each.target.targetId),
    [web],
  )
  t.match(await eventOf(streams.targetRun(runId, 1), 'TargetRunFailed'), {
    class: 'denied',
    detail: `user:${who.id} needs target:use on the target ${lab}: the grants are about something else`,
  })
  for (const each of assignments) await executor.work(each)
  t.match(await eventOf(streams.run(runId), 'RunPartiallySucceeded'), { counts: { succeeded: 1, failed: 1 } })
})

t.test('a credential that may not be used any more is not given out, whoever stored it', async t => {
  const [web] = (await made.targets(1, credentialId)) as [string]
  const jobId = await made.job()
  const { who, ofCredential } = await operator([jobId], [web])
  const runId = await trigger(jobId, [web], who)
  await revoke(ofCredential)
  const asked = executor.pull(16, 1_000)
  t.match(await eventOf(streams.targetRun(runId, 0), 'TargetRunFailed'), {
    class: 'denied',
    detail: /needs credential:use on the credential/,
  })
  t.same(await asked, [])
  t.notOk((await made.types(streams.targetRun(runId, 0))).includes('TargetRunClaimed'))
  await eventOf(streams.run(runId), 'RunFailed')
})

t.test('a run that a step triggers is judged by what whoever began it all may do by then', async t => {
  const [web] = (await made.targets(1, credentialId)) as [string]
  const below = await made.job({ name: 'below', selection: { targetIds: [web] } })
  const nested = { id: 'nested', uses: 'job.run', with: { jobId: below }, timeoutSeconds: 60 } as const
  const steps = [uptime, { ...nested, continueOnError: false, idempotent: false }]
  const jobId = await made.job({ name: 'above', steps } as Parameters<typeof made.job>[0])
  const lost = await operator([jobId, below], [web])
  const runId = await trigger(jobId, [web], lost.who)
  const [first] = await executor.pull()
  t.ok(first)
  if (!first) return
  await revoke(lost.ofTargets.get(web) ?? '')
  await executor.work(first)
  t.match(await eventOf(streams.run(runId), 'RunStepFailed'), {
    stepId: 'nested',
    class: 'denied',
    detail: 'the run could not be triggered: forbidden: needs target:use on every target of the selection',
  })
  await eventOf(streams.run(runId), 'RunPartiallySucceeded')
})

t.test('so is one that a key asked for, by what that key may do', async t => {
  const [web] = (await made.targets(1, credentialId)) as [string]
  const below = await made.job({ name: 'below', selection: { targetIds: [web] } })
  const nested = { id: 'nested', uses: 'job.run', with: { jobId: below }, timeoutSeconds: 60 } as const
  const steps = [uptime, { ...nested, continueOnError: false, idempotent: false }]
  const jobId = await made.job({ name: 'above', steps } as Parameters<typeof made.job>[0])
  const { who } = await operator([jobId, below], [web])
  const keyId = systemIds.next()
  const issue = { type: 'issue-api-key', data: { keyId, name: 'ci', owner: who, expiresSeconds: 3_600 } } as const
  const facts = { secretHash: 'ab'.repeat(32), owner: 'active' } as const
  await made.dispatcher.dispatch('apiKey', issue, { meta: made.meta(), facts })
  const byKey = () => trigger(jobId, [web], who, { kind: 'api-key', id: keyId, onBehalfOf: who.id })
  const good = await byKey()
  const [one] = await executor.pull()
  if (one) await executor.work(one)
  const { subRunId } = (await eventOf(streams.run(good), 'SubRunTriggered')) as { subRunId: string }
  t.match(await eventOf(streams.run(subRunId), 'RunRequested'), {
    authorisedBy: { kind: 'run', runId: good, apiKeyId: keyId },
    runAs: who,
  })
  const [nestedOne] = await executor.pull()
  if (nestedOne) await executor.work(nestedOne)
  await eventOf(streams.run(good), 'RunSucceeded')
  const runId = await byKey()
  const [two] = await executor.pull()
  const revoked = { type: 'revoke-api-key', data: { keyId, reason: 'leaked' } } as const
  await made.dispatcher.dispatch('apiKey', revoked, { meta: made.meta(), facts: {} })
  if (two) await executor.work(two)
  t.match(await eventOf(streams.run(runId), 'RunStepFailed'), {
    class: 'denied',
    detail: new RegExp(`api-key:${keyId} needs run:trigger on the job ${below}: deactivated, disabled or revoked`),
  })
})
