import t from 'tap'
import type { Recorded } from '../schemas/events.ts'
import { findClaim } from './claim.ts'
import { credentialReader } from './credential-status.ts'
import { denialLimit } from './denial-limit.ts'

const runId = '01890000-0000-7000-8000-000000000001'
const credentialId = '01890000-0000-7000-8000-00000000000c'
const recorded = (type: string, data: object) => ({ type, data }) as Recorded // only type and data are looked at
const claimed = (epoch: number, executorId: string) => recorded('TargetRunClaimed', { runId, n: 0, epoch, executorId })
const handedBack = (epoch: number) => recorded('TargetRunHandedBack', { epoch })
const expired = (epoch: number) => recorded('LeaseExpired', { epoch })
const mine = { epoch: 2, executorId: 'anna' }

t.test('a claim holds', async t => {
  const histories = {
    'when it is the last word': [claimed(1, 'bert'), expired(1), claimed(2, 'anna')],
    'when an older claim ends late': [claimed(1, 'bert'), claimed(2, 'anna'), handedBack(1), expired(1)],
    'while its steps run': [claimed(2, 'anna'), recorded('StepStarted', { epoch: 2 })],
  }
  for (const [when, events] of Object.entries(histories)) t.equal(findClaim(events, mine)?.holds, true, when)
})

t.test('a claim no longer holds', async t => {
  const histories = {
    'when it was handed back': [claimed(2, 'anna'), handedBack(2)],
    'when its lease expired': [claimed(2, 'anna'), expired(2)],
    'when somebody claimed later': [claimed(2, 'anna'), expired(2), claimed(3, 'bert')],
    'when the same executor claimed later': [claimed(2, 'anna'), claimed(3, 'anna')],
    'when the target run succeeded': [claimed(2, 'anna'), recorded('TargetRunSucceeded', {})],
    'when the target run failed': [claimed(2, 'anna'), recorded('TargetRunFailed', {})],
    'when the target run was cancelled': [claimed(2, 'anna'), recorded('TargetRunCancelled', {})],
    'when a person must look': [claimed(2, 'anna'), recorded('TargetRunNeedsAttention', {})],
  }
  for (const [when, events] of Object.entries(histories)) {
    const found = findClaim(events, mine)
    t.equal(found?.holds, false, when)
    t.same(found?.claim.data.epoch, 2, 'and is still found, to check who asks')
  }
})

t.test('of a claim that holds, what runs is the step that was started last and is not over', async t => {
  const started = (stepId: string) => recorded('StepStarted', { stepId })
  const claim = claimed(2, 'anna')
  t.equal(findClaim([claim], mine)?.running, undefined)
  t.equal(findClaim([claim, started('login')], mine)?.running, 'login')
  for (const type of ['StepSucceeded', 'StepFailed', 'StepAttemptFailed', 'StepCancelled', 'StepOutcomeUnknown'])
    t.equal(findClaim([claim, started('login'), recorded(type, { stepId: 'login' })], mine)?.running, undefined, type)
  t.equal(findClaim([claim, started('login'), recorded('OutputSealed', {}), started('next')], mine)?.running, 'next')
  t.equal(findClaim([claimed(1, 'anna'), started('login'), expired(1), claim], mine)?.running, undefined)
})

t.test('there is no claim for who never claimed this epoch', async t => {
  for (const events of [[], [claimed(2, 'bert')], [claimed(1, 'anna')]]) t.equal(findClaim(events, mine), undefined)
})

/** The log as far as this reader looks, and how often it looked. */
const countingLog = (events: Recorded[]) => {
  const log = { reads: 0, fail: false }
  const read = async () => {
    log.reads += 1
    if (log.fail) throw new Error('the log is away')
    return { events: [...events], revision: 'none' as const }
  }
  return { log, read }
}
const versionAdded = (version: number, sealId: string) => recorded('CredentialVersionAdded', { version, sealId })

t.test('a credential is read at most once a second, and a revocation is seen within it', async t => {
  const events = [versionAdded(1, 'seal-1')]
  const { log, read } = countingLog(events)
  let now = 0
  const credential = credentialReader({ read }, () => now)
  await Promise.all([credential(credentialId), credential(credentialId)])
  events.push(recorded('CredentialRevoked', {}))
  now = 999
  t.equal((await credential(credentialId)).revoked, false)
  t.equal(log.reads, 1)
  now = 1000
  t.same(await credential(credentialId), {
    ...{ revoked: true, username: '' },
    versions: new Map([[1, { sealId: 'seal-1', expiresAt: undefined }]]),
  })
  t.equal(log.reads, 2)
})

t.test('a fresh reading is taken when asked for, and a failed one is not kept', async t => {
  const events = [versionAdded(1, 'seal-1')]
  const { log, read } = countingLog(events)
  const credential = credentialReader({ read }, () => 0)
  await credential(credentialId)
  events.push(versionAdded(2, 'seal-2'))
  t.equal((await credential(credentialId, { fresh: true })).versions.get(2)?.sealId, 'seal-2')
  t.equal((await credential(credentialId)).versions.get(2)?.sealId, 'seal-2')
  t.equal(log.reads, 2)
  log.fail = true
  await t.rejects(credential('another'), /the log is away/)
  log.fail = false
  t.equal((await credential('another')).versions.size, 2)
})

t.test('remembers a bounded number of credentials', async t => {
  const { log, read } = countingLog([])
  const credential = credentialReader({ read }, () => 0)
  for (let i = 0; i <= 1000; i += 1) await credential(`credential ${i}`)
  await credential('credential 1000')
  t.equal(log.reads, 1001)
  await credential('credential 0')
  t.equal(log.reads, 1002, 'the oldest was forgotten')
})

const admitted = (limit: ReturnType<typeof denialLimit>, names: (i: number) => string, tries: number) =>
  Array.from({ length: tries }, (_, i) => limit.admit(names(i))).filter(Boolean).length

t.test('one executor gets a burst of denials into the log, then one a second', async t => {
  let now = 0
  const limit = denialLimit(() => now)
  t.equal(
    admitted(limit, () => 'anna', 50),
    20,
  )
  t.equal(limit.takeSuppressed(), 30)
  t.equal(limit.takeSuppressed(), 0)
  t.equal(limit.admit('bert'), true, 'another is not affected')
  now = 3_000
  t.equal(
    admitted(limit, () => 'anna', 50),
    3,
  )
})

t.test('changing names does not help', async t => {
  let now = 0
  const limit = denialLimit(() => now)
  t.equal(
    admitted(limit, i => `executor-${i}`, 5_000),
    100,
  )
  now = 1_000
  t.equal(
    admitted(limit, i => `executor-${i}`, 5_000),
    10,
  )
  t.equal(limit.takeSuppressed(), 9_890)
})
