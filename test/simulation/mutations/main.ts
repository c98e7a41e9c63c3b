import { availableParallelism } from 'node:os'
import { hunt } from './hunt.ts'
import { mutations } from './list.ts'

/** Takes each guard away, one at a time, and says how that was noticed. The exit code is 0 when 95 % were. */
export async function huntAll(seeds: number, only: string | undefined): Promise<void> {
  const left = mutations.filter(({ name }) => only === undefined || name.includes(only))
  const wanted = left.length
  let caught = 0
  const next = async (): Promise<void> => {
    for (let mutation = left.shift(); mutation; mutation = left.shift()) {
      const { by } = await hunt(mutation, seeds)
      caught += by === undefined ? 0 : 1
      console.log(
        `${by === undefined ? 'NOT NOTICED' : 'noticed    '} ${mutation.name}${by ? `\n              ${by}` : ''}`,
      )
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, next))
  console.log(`${caught} of ${wanted} guards taken away were noticed, with ${seeds} seeds each`)
  process.exitCode = caught >= 0.95 * wanted ? 0 : 1
}
