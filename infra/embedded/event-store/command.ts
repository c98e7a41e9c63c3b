import path from 'node:path'
import { loadConfig } from '../../config.ts'
import { backup, stats, type VerifyReport, verify } from './maintenance.ts'

const usage = `opsconductor eventstore stats             events, streams, size
opsconductor eventstore verify            read everything, check every checksum and the order
opsconductor eventstore backup <folder>   copy it as of now, and verify the copy

Works on the embedded event store of the data folder, whether the system is up or not.`

/** `opsconductor eventstore …`, on the machine that holds the data folder. Answers the exit code. */
export async function eventStore([action, destination]: string[]): Promise<number> {
  const dataDir = path.join(loadConfig().dataDir, 'event-store')
  try {
    if (action === 'stats') return show(await stats(dataDir))
    if (action === 'verify') return judge(await verify(dataDir))
    if (action === 'backup' && destination) return judge(await backup(dataDir, destination))
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    return 1
  }
  console.error(usage)
  return 2
}

function show(facts: object): number {
  for (const [name, value] of Object.entries(facts)) console.log(`${name.padEnd(10)} ${value ?? '-'}`)
  return 0
}

function judge({ ok, problems, ...counts }: VerifyReport): number {
  show(counts)
  for (const problem of problems) console.error(problem)
  console.log(ok ? 'the store is whole' : `the store is damaged: ${problems.length} problem(s)`)
  return ok ? 0 : 1
}
