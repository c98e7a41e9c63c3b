import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Check } from './lifecycle.ts'

const READY_TIMEOUT_MS = 2_000

/** The body of GET /health/ready: 200 when every check is ok, else 503. */
export type Readiness = { ready: boolean; checks: Check[] }

/** Asks a role for its checks; a rejection or an answer later than two seconds is itself a failed check. */
export async function readiness(ready: () => Promise<Check[]> | Check[]): Promise<Readiness> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<Check[]>(resolve => {
    const overdue = [{ name: 'readiness', ok: false, detail: `no answer in ${READY_TIMEOUT_MS} ms` }]
    timer = setTimeout(() => resolve(overdue), READY_TIMEOUT_MS)
  })
  const asked = Promise.resolve()
    .then(ready)
    .catch((error: unknown) => [{ name: 'readiness', ok: false, detail: String(error) }])
  const checks = await Promise.race([asked, late])
  clearTimeout(timer)
  return { ready: checks.every(check => check.ok), checks }
}

/**
 * The same for whoever may be anybody: those who ask while it is being looked at are told what is found, so that asking
 * often costs no more than asking without a pause.
 */
export function sharedReadiness(ready: () => Promise<Check[]> | Check[]): () => Promise<Readiness> {
  let looking: Promise<Readiness> | undefined
  return () => {
    looking ??= readiness(ready).finally(() => {
      looking = undefined
    })
    return looking
  }
}

/** Health answers for a role without an HTTP interface of its own. Rejects when the address is taken. */
export async function startHealthServer(
  address: { host: string; port: number },
  ready: () => Promise<Check[]> | Check[],
): Promise<{ url: string; close(): Promise<void> }> {
  const state = sharedReadiness(ready)
  const server = createServer(async (request, response) => {
    if (request.method !== 'GET') return answer(response, 405, { error: 'only GET' })
    if (request.url === '/health/live') return answer(response, 200, { live: true })
    if (request.url !== '/health/ready') return answer(response, 404, { error: 'not found' })
    const found = await state()
    answer(response, found.ready ? 200 : 503, found)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(address.port, address.host, resolve)
  })
  // A TCP server's address is always an AddressInfo once it listens.
  const { port } = server.address() as AddressInfo
  const host = address.host.includes(':') ? `[${address.host}]` : address.host
  const close = async () => {
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  }
  return { url: `http://${host}:${port}`, close }
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
  response.end(JSON.stringify(body))
}
