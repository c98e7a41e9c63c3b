import t from 'tap'
import { programOrSkip } from '../support/packages.ts'
import { crashTest } from './crash-test.ts'
import { kept, report } from './report.ts'

const SEED = 7

t.test('whatever is killed, nothing is lost, doubled or stuck', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const verdict = await crashTest({ kills: 8, seed: SEED, outageSeconds: 2, rounds: 0, say: line => t.comment(line) })
  t.ok(kept(verdict), report(verdict, SEED).join('\n'))
  t.ok((verdict.commands.get('acked') ?? 0) > 20, 'commands were acknowledged meanwhile')
  t.ok(verdict.effects > 5, 'steps ran meanwhile')
})
