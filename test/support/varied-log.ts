import { streams } from '../../schemas/events.ts'
import { digest, History, ids } from './made-up-log.ts'
import { eventfulRun, runsThatEndEarly } from './made-up-runs.ts'

/** A log of about this many events in which everything the projections know of happens. */
export function variedHistory(size: number): History {
  const history = new History()
  for (let n = 0; n < 3; n += 1) history.credential(n)
  for (let n = 0; n < 3; n += 1) history.job(n)
  for (let n = 0; n < 20; n += 1) history.target(n, { env: n % 2 ? 'prod' : 'test' })
  for (let round = 0; history.events.length < size; round += 1) anotherRound(history, round)
  return history
}

function anotherRound(history: History, round: number): void {
  const n = round % 20
  const targetId = ids.target(n)
  const stream = streams.target(targetId)
  history.add(stream, { type: 'TargetRenamed', data: { targetId, name: `web-${n}-${round}` } })
  history.add(stream, { type: 'TargetTagged', data: { targetId, key: 'round', value: String(round) } })
  const targets = [n, (n + 1) % 20, (n + 7) % 20]
  if (round % 3 === 0) history.publish(round % 3, 2 + Math.floor(round / 3), `uptime ${round}`)
  if (round % 5 === 4) cancelled(history, round, targets)
  else if (round % 5 === 3) eventfulRun(history, round, [n, (n + 1) % 20, (n + 7) % 20])
  else history.run(round, round % 3, targets, round % 4)
  if (round % 7 === 6) runsThatEndEarly(history, 10_000 + 2 * round, [n, (n + 1) % 20])
  const received = { commandId: ids.run(round), command: 'tag-target', bodyDigest: digest('b'), stream }
  history.add(streams.command(received.commandId), { type: 'CommandReceived', data: received })
}

/** One target run ends by itself, one is stopped in the middle, one was never claimed. */
function cancelled(history: History, round: number, targets: readonly number[]): void {
  const runId = history.request(round, 0, targets)
  history.add(streams.run(runId), { type: 'RunStarted', data: { runId } })
  history.targetRun(round, 0, targets[0] ?? 0)
  history.claim(round, 1, targets[1] ?? 0)
  const step = { runId, n: 1, stepId: 'first', attempt: 1, epoch: 1 }
  const at = '2026-01-01T00:00:00.123456Z'
  const stream = streams.targetRun(runId, 1)
  history.add(stream, { type: 'StepStarted', data: { ...step, at } })
  history.add(streams.run(runId), { type: 'RunCancellationRequested', data: { runId, reason: 'wrong target' } })
  history.add(stream, { type: 'StepCancelled', data: { ...step, seq: 1, at, detail: 'killed' } })
  const ended = { runId, n: 1, targetId: ids.target(targets[1] ?? 0), detail: 'killed' }
  history.add(stream, { type: 'TargetRunCancelled', data: ended })
  const counts = { succeeded: 1, failed: 0, cancelled: 2, needsAttention: 0 }
  history.add(streams.run(runId), { type: 'RunCancelled', data: { runId, counts } })
}
