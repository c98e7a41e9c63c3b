import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { huntAll } from './mutations/main.ts'
import type { Told } from './sim-log.ts'
import { simulate } from './simulate.ts'
import { simulateAll } from './workers.ts'

const number = (min: number, most: number) => z.coerce.number().int().min(min).max(most)
const wanted = z.object({
  seed: number(0, 2 ** 31).default(1),
  seeds: number(1, 10_000_000).default(1_000),
  workers: number(1, 256).default(availableParallelism()),
  show: z.boolean().default(false),
  mutations: z.boolean().default(false),
  only: z.string().optional(),
})

/**
 * `npm run simulate -- --seed 1 --seeds 100000`. Every seed is a world of its own; the exit code is 0 only when every
 * promise was kept in all of them. With `--show` the first seed's log is printed; with `--mutations` so many seeds are
 * run against the program without each of its guards, one at a time.
 */
export async function main(argv: string[]): Promise<void> {
  const option = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  const options = { seed: option, seeds: option, workers: option, only: option, show: flag, mutations: flag } as const
  const { seed, seeds, workers, show, mutations, only } = wanted.parse(parseArgs({ args: argv, options }).values)
  if (mutations) return await huntAll(seeds, only)
  if (show) for (const event of (await simulate(seed)).world.log.all) console.log(lineOf(event))
  const start = performance.now()
  const totals = await simulateAll({ seed, seeds, workers }, ({ seed, broken }) => {
    console.log(`seed ${seed}:`)
    for (const line of new Set(broken)) console.log(`  ${line}`)
    console.log(`  npm run simulate -- --seed ${seed} --seeds 1 --show`)
  })
  const seconds = (performance.now() - start) / 1_000
  const per = ((seconds * 1_000) / seeds).toFixed(1)
  console.log(
    `${seeds} seeds from ${seed} on: ${totals.events} events, ${totals.effects} effects, ${totals.broken} broken`,
  )
  console.log(`${seconds.toFixed(0)} s, ${per} ms each`)
  process.exitCode = totals.broken > 0 ? 1 : 0
}

function lineOf({ landed, by, stream, type, data }: Told): string {
  const where = stream.replace(/(-[0-9a-f]{8})[0-9a-f-]{28}/, '$1')
  return `${landed.toFixed(0).padStart(7)} ${by.padEnd(12)} ${where.padEnd(24)} ${type} ${JSON.stringify(data)}`
}
