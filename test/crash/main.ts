import { parseArgs } from 'node:util'
import { z } from 'zod'
import { installPackages } from '../support/packages.ts'
import { crashTest } from './crash-test.ts'
import { kept, report } from './report.ts'

const whole = (min: number, max: number) => z.coerce.number().int().min(min).max(max)
const wanted = z.object({
  kills: whole(1, 10_000).default(60),
  seed: whole(0, 2 ** 32 - 1).default(() => Date.now() % 2 ** 32),
  outage: whole(1, 600).optional(),
  rounds: whole(0, 1_000).optional(),
  keep: z.string().min(1).optional(),
})
/** From so many kills on it is a long run, in which things stay down for a minute. */
const LONG = 500

/**
 * `npm run test:crash -- --kills 60 --seed 1 [--outage seconds] [--rounds of-faults] [--keep folder-for-logs]`. The exit
 * code is 0 only when every promise was kept.
 */
export async function main(argv: string[]): Promise<void> {
  const option = { type: 'string' } as const
  const options = { kills: option, seed: option, outage: option, rounds: option, keep: option }
  const { kills, seed, outage, rounds, keep } = wanted.parse(parseArgs({ args: argv, options }).values)
  const say = (line: string) => console.log(line)
  if (installPackages(say).includes('openssh-server')) throw new Error('needs sshd: the Debian package openssh-server')
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))
  const verdict = await crashTest({
    ...{ kills, seed, say, outageSeconds: outage ?? (kills < LONG ? 5 : 60) },
    ...(keep !== undefined && { keep }),
    rounds: rounds ?? Math.max(1, Math.floor(kills / 250)),
  })
  for (const line of report(verdict, seed)) say(line)
  process.exitCode = kept(verdict) ? 0 : 1
}
