import { type Context, resourceId } from './context.ts'
import { followRun } from './follow.ts'
import { note, print } from './output.ts'

/** Begins a run, and watches it where that was asked for. */
export async function begun(
  { client, settings }: Context,
  name: string,
  data: object,
  { follow, watch }: { follow?: true; watch?: true },
): Promise<void> {
  const answer = await client.command(name, data)
  const runId = resourceId(answer)
  if (!follow && !watch) return print(settings.output, { runId, ...answer })
  note(`run ${runId}`)
  await client.get(`/v1/runs/${runId}`, { minPosition: answer.position })
  process.exitCode = await followRun(client, runId)
}
