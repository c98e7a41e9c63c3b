import { parseArgs } from 'node:util'
import { z } from 'zod'
import { installPackages } from '../support/packages.ts'
import { crashTest } from './crash-test.ts'
import { kept, report } from './report.ts'

const wanted = z.object({
  kills: z.coerce.number().int().min(1).max(10_000).default(50),
  seed: z.coerce
    .number()
    .int()
    .min(0)
    .max(2 ** 32 - 1)
    .default(() => Date.now() % 2 ** 32),
})

/** `npm run test:crash -- --kills 50 --seed 1`. The exit code is 0 only when every promise was kept. */
export async function main(argv: string[]): Promise<void> {
  const option = { type: 'string' } as const
  const { values } = parseArgs({ args: argv, options: { kills: option, seed: option } })
  const { kills, seed } = wanted.parse(values)
  const say = (line: string) => console.log(line)
  if (installPackages(say).includes('openssh-server')) throw new Error('needs sshd: the Debian package openssh-server')
  const verdict = await crashTest({ kills, seed, say })
  for (const line of report(verdict, seed)) say(line)
  process.exitCode = kept(verdict) ? 0 : 1
}
