import t from 'tap'
import { programOrSkip } from '../support/packages.ts'
import { crashTest } from './crash-test.ts'
import { kept, report } from './report.ts'

const SEED = 7
const KILLS = 20

t.test('whatever is killed, held up or taken away, nothing is lost, doubled or stuck', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const verdict = await crashTest({
    kills: KILLS,
    seed: SEED,
    outageSeconds: 1,
    rounds: 1,
    say: line => t.comment(line),
  })
  t.ok(kept(verdict), report(verdict, SEED).join('\n'))
  t.ok((verdict.commands.get('acked') ?? 0) > 20, 'commands were acknowledged meanwhile')
  t.ok(verdict.effects > 5, 'steps ran meanwhile')
  const atPoints = new Set(verdict.kills.flatMap(kill => kill.point ?? []))
  t.ok(atPoints.size >= KILLS / 4, `killed at ${atPoints.size} named points`)
  if (!verdict.diskFaults) t.comment('no disk was filled: that needs root and the right to mount')
})
