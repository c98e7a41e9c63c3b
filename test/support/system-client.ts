import { randomUUID } from 'node:crypto'
import { type Client, createClient } from '../../cli/client.ts'
import type { ServerEvent } from '../../cli/server-events.ts'
import type { RunRow, StepRunRow, TargetRunRow } from '../../schemas/run-rows.ts'
import type { StartedSystem } from './system.ts'

type StepOptions = { timeoutSeconds?: number; idempotent?: boolean; continueOnError?: boolean }
export type StepBody = { id: string; uses: 'ssh.command'; with: { command: string } } & StepOptions
export type Detail = TargetRunRow & { steps: StepRunRow[] }

/** A step that runs a command. */
export const command = (text: string, id = 'do', more: StepOptions = {}): StepBody => ({
  ...{ id, uses: 'ssh.command', with: { command: text } },
  ...more,
})

/** Waits until the system says it is ready; answers a client with the key it showed. */
export async function clientOf(system: StartedSystem): Promise<SystemClient> {
  await system.printed(/OpsConductor is ready/)
  const key = /opsc_[\w-]{20,}/.exec(system.output())?.[0]
  const { url } = system.runtime()
  if (url === undefined || key === undefined) throw new Error(`no address or key:\n${system.output()}`)
  return new SystemClient(createClient(url, key))
}

/** What a program does with the system, over HTTP alone. */
export class SystemClient {
  readonly http: Client
  constructor(http: Client) {
    this.http = http
  }

  async credential(privateKey: string, username: string): Promise<string> {
    const credentialId = randomUUID()
    const secret = { kind: 'ssh-key', privateKey }
    await this.http.command('create-credential', { credentialId, name: 'deploy', username, secret })
    return credentialId
  }

  async target(name: string, at: { address?: string; port: number; credentialId: string; hostKey?: string }) {
    const targetId = randomUUID()
    const policy = at.hostKey === undefined ? {} : { hostKeyPolicy: 'pinned', hostKey: at.hostKey }
    const { address = '127.0.0.1', port, credentialId } = at
    await this.http.command('create-target', { targetId, name, address, port, credentialId, ...policy })
    return targetId
  }

  async job(steps: StepBody[], more: { maxParallel?: number; pool?: string } = {}): Promise<string> {
    const jobId = randomUUID()
    await this.http.command('define-job', { jobId, name: 'spec', steps, ...more })
    return jobId
  }

  async trigger(jobId: string, targetIds: string[]): Promise<string> {
    const runId = randomUUID()
    await this.http.command('trigger-run', { runId, jobId, selection: { targetIds } })
    return runId
  }

  async run(steps: StepBody[], targetIds: string[]): Promise<string> {
    return this.trigger(await this.job(steps), targetIds)
  }

  /** Follows the run to its end; `onOutput` hears what its steps print as they print it. */
  async follow(runId: string, onOutput: (text: string, n: number) => void = () => {}): Promise<ServerEvent[]> {
    const events: ServerEvent[] = []
    for await (const event of this.http.events(`/v1/runs/${runId}/events`)) {
      events.push(event)
      if (event.event !== 'output') continue
      const { chunks } = JSON.parse(event.data) as { chunks: Array<{ data: string; n: number }> }
      for (const { data, n } of chunks) onOutput(Buffer.from(data, 'base64').toString(), n)
    }
    return events
  }

  /** The run, and how it went on its first target, once it has ended. */
  async ended(runId: string): Promise<{ run: RunRow; target: Detail }> {
    await this.follow(runId)
    const run = await this.http.get<RunRow>(`/v1/runs/${runId}`)
    return { run, target: await this.http.get<Detail>(`/v1/runs/${runId}/target-runs/0`) }
  }
}
