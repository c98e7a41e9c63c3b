import type { BenchSystem } from './system.ts'

type Answer = { stream: string; position: string }
export type RunView = { status: string; counts: { succeeded: number } }

const ENDED = /succeeded|failed|cancelled|needs-attention/
/** Asking costs the same cores as what is measured, and its answer is late by half of this. */
const POLL_MS = 100
const LINES = 500

/** The public API as a bench uses it. Throws on every answer that is not a success. */
export function benchApi({ url, apiKey }: Pick<BenchSystem, 'url' | 'apiKey'>) {
  const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' }
  const call = async (path: string, init: RequestInit = {}): Promise<string> => {
    const response = await fetch(`${url}${path}`, { ...init, headers: { ...headers, ...init.headers } })
    const text = await response.text()
    if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`)
    return text
  }
  const post = (name: string, data: object) =>
    call(`/v1/commands/${name}`, { method: 'POST', body: JSON.stringify(data) })
  const command = async (name: string, data: object): Promise<Answer & { id: string }> => {
    const answer: Answer = JSON.parse(await post(name, data))
    return { ...answer, id: answer.stream.slice(answer.stream.indexOf('-') + 1) }
  }
  const get = async <T>(path: string): Promise<T> => JSON.parse(await call(path))
  /** Asks for the run until it is as wanted; read models may not know it at first. */
  const until = async (runId: string, wanted: (run: RunView) => boolean, query = ''): Promise<RunView> => {
    for (;;) {
      const run = await get<RunView>(`/v1/runs/${runId}${query}`).catch(unlessUnknown)
      if (run && wanted(run)) return run
      await new Promise(resolve => setTimeout(resolve, POLL_MS))
    }
  }
  const ended = (runId: string, query = '') => until(runId, ({ status }) => ENDED.test(status), query)
  return {
    command,
    /** For commands about many resources, whose answers name no stream. */
    post,
    /** Many commands of one kind in few requests. */
    async bulk(name: string, all: object[]): Promise<void> {
      for (let from = 0; from < all.length; from += LINES) {
        const lines = all.slice(from, from + LINES).map(data => JSON.stringify({ command: name, data }))
        const body = `${lines.join('\n')}\n`
        const answers = await call('/v1/commands', {
          method: 'POST',
          body,
          headers: { 'content-type': 'application/x-ndjson' },
        })
        const refused = answers.split('\n').find(line => line.includes('urn:opsconductor:problem'))
        if (refused) throw new Error(refused)
      }
    },
    get,
    until,
    ended,
    /** Triggers a run and waits for its end; milliseconds as the client sees them. */
    async run(jobId: string): Promise<{ milliseconds: number; succeeded: number; status: string }> {
      const began = performance.now()
      const { id, position } = await command('trigger-run', { jobId })
      const { status, counts } = await ended(id, `?minPosition=${position}`)
      return { milliseconds: performance.now() - began, succeeded: counts.succeeded, status }
    },
  }
}

function unlessUnknown(error: unknown): undefined {
  if (!String(error).includes('run-not-found')) throw error
}
