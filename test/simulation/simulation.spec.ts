import t from 'tap'
import { judge } from './judge.ts'
import { only } from './record.ts'
import { simulate } from './simulate.ts'
import { World } from './world.ts'

const SEEDS = 500

t.test('whatever fails: what was promised is kept, and every run ends', async t => {
  const seen = new Set<string>()
  let effects = 0
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const { broken, world } = await simulate(seed)
    for (const event of world.log.all) seen.add(event.type)
    effects += world.effects.all.length
    if (broken.length > 0) t.fail(`seed ${seed}: npm run simulate -- --seed ${seed} --seeds 1`, { broken })
  }
  t.ok(effects > SEEDS, `${effects} effects were watched`)
  // A world in which this never happens would prove little.
  for (const type of hard) t.ok(seen.has(type), type)
})

const hard = [
  ...['LeaseExpired', 'StepOutcomeUnknown', 'StepChecked', 'StepResolved', 'StepRetryScheduled', 'StepWaitEnded'],
  ...['CompensationStarted', 'CompensationCompleted', 'TargetRunHandedBack', 'ReportRejectedStaleEpoch'],
  ...['TargetRunNeedsAttention', 'RunNeedsAttention', 'RunStopped', 'RunPaused', 'RunTimedOut', 'RunCancelled'],
  ...['ApprovalQuorumReached', 'ApprovalDenied', 'ApprovalExpired', 'RunRejected', 'StepCancellationRequested'],
]

t.test('the same seed makes the same world, event by event', async t => {
  for (const seed of [4, 14, 16]) {
    const { world, events } = await simulate(seed)
    t.ok(events > 10)
    t.equal((await simulate(seed)).world.digest, world.digest, `seed ${seed}`)
    t.notOk((await simulate(seed + 1)).world.digest === world.digest)
  }
})

t.test('nothing goes wrong any more in a world that came to its end early', async t => {
  const { broken } = await simulate(712_485)
  t.same(broken, [], 'or reactors that stand still after that would be judged by what they have not heard')
})

t.test('the judge is not blind', async t => {
  const { world } = await simulate(1)
  t.same(judge(world), [])
  const [effect] = world.effects.all
  if (!effect) throw new Error('nothing took effect')
  world.effects.add({ ...effect, at: effect.at + 1 })
  t.match(judge(world).join(), /took effect twice/)
  world.effects.all.length = 0
  t.match(judge(world).join(), /counts as done and never was/)
  const young = new World(1)
  t.match(judge(young), [], 'nothing was asked for yet')
  await young.time.run(3_000)
  t.match(judge(young).join(), /never ended/)
  t.ok(only(young.log.all, 'TargetRunClaimed').length > 0)
})
