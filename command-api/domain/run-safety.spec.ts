import t from 'tap'
import { specMeta } from '../../test/support/decider-spec.ts'
import { command, versionOf } from '../../test/support/workflow.ts'
import type { Job } from './job.ts'
import { run } from './run.ts'
import type { RunFacts } from './run-request.ts'
import type { SafetyFinding } from './run-safety.ts'

const idOf = (n: number) => `0192d3c4-5e6f-7a8b-9c0d-${String(n).padStart(12, '0')}`
const runId = idOf(1)
const version = versionOf({ steps: [command('drop', 'dropdb shop')] })
const { jobId } = version
const job: Job = { status: 'enabled', jobId, name: 'drop', description: undefined, versions: [version] }
const rulesDigest = 'a'.repeat(64)
const factsOf = (findings: SafetyFinding[], more: Partial<RunFacts> = {}): RunFacts => ({
  job,
  targets: [{ targetId: idOf(11), status: 'active', credentialId: idOf(21) }],
  credentials: new Map([[idOf(21), 'active']]),
  safety: { findings, rulesDigest },
  ...more,
})
const confirm = { stepId: 'drop', rule: 'drop-database', decision: 'confirm', reason: 'It is gone.' } as const
const power = { ...confirm, stepId: 'boot', rule: 'power', environment: 'lab' } as const
const deny = { ...confirm, decision: 'deny' } as const
const data = { runId, jobId, selection: { targetIds: [idOf(11)] } }

/** What is recorded as confirmed when a run is triggered, or the refusal. */
function triggered(facts: RunFacts, more: object = {}) {
  const command = { type: 'trigger-run', data: { ...data, ...more } } as const
  const [first] = run.decide(command, run.initial, specMeta, facts)
  return first?.type === 'RunRequested' ? first.data.confirmed : undefined
}

t.test('nothing speaks against it: nothing is recorded, whatever was confirmed', async t => {
  t.equal(triggered(factsOf([])), undefined)
  t.equal(triggered(factsOf([]), { confirm: true }), undefined)
})

t.test('what is refused stays refused', async t => {
  for (const more of [{}, { confirm: true }])
    t.throws(() => triggered(factsOf([power, deny]), more), {
      ...{ code: 'command-denied', detail: 'refused by drop-database' },
      errors: [{ path: 'steps.drop', message: 'drop-database: It is gone.' }],
    })
})

t.test('what is to be confirmed takes a word, and is recorded', async t => {
  for (const more of [{}, { confirm: false }])
    t.throws(() => triggered(factsOf([power, confirm]), more), {
      ...{ code: 'confirmation-needed', detail: /power, drop-database$/ },
      errors: [
        { path: 'steps.boot', message: 'power in lab: It is gone.' },
        { path: 'steps.drop', message: 'drop-database: It is gone.' },
      ],
    })
  const twice = [power, confirm, { ...confirm, stepId: 'again' }]
  t.same(triggered(factsOf(twice), { confirm: true }), { rules: ['drop-database', 'power'], rulesDigest })
})

t.test('a run that a step triggers goes by what was confirmed for the run above, by the same rules', async t => {
  const parent = { runId: idOf(2), stepId: 'clean', depth: 1 }
  const above = (rules: string[], digest = rulesDigest) =>
    factsOf([confirm], { parent, confirmedAbove: { rules, rulesDigest: digest } })
  t.same(triggered(above(['drop-database', 'power'])), { rules: ['drop-database'], rulesDigest })
  t.throws(() => triggered(above(['power'])), { code: 'confirmation-needed' })
  t.throws(() => triggered(above(['drop-database'], 'b'.repeat(64))), { code: 'confirmation-needed' })
})

t.test('a rerun is asked like any other', async t => {
  const requested = { ...data, jobVersion: 1, jobName: 'drop', targets: 1, initiator: specMeta.actor }
  const earlier = { requested, targetIds: [idOf(11)], gates: {} }
  const again = { type: 'rerun', data: { runId: idOf(3), of: runId } } as const
  const facts = factsOf([confirm], { earlier })
  t.throws(() => run.decide(again, run.initial, specMeta, facts), { code: 'confirmation-needed' })
  const meant = { ...again, data: { ...again.data, confirm: true } }
  t.match(run.decide(meant, run.initial, specMeta, facts), [{ data: { confirmed: { rules: ['drop-database'] } } }])
})

t.test('many complaints are told in part', async t => {
  const findings = Array.from({ length: 300 }, (_, i) => ({ ...deny, stepId: `s${i}`, rule: `rule-${i}` }))
  t.throws(() => triggered(factsOf(findings)), { code: 'command-denied', detail: /^.{500}$/, errors: { length: 100 } })
})
