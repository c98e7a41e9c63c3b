import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

export type FakeRequest = { method: string; path: string; headers: IncomingMessage['headers']; body: string }
export type FakeAnswer = { status: number; body?: object }

/** A service of JSON over HTTP on loopback. */
export async function fakeHttp(t: Test, answer: (request: FakeRequest) => FakeAnswer) {
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part)
    const { method = '', url: path = '', headers } = request
    const { status, body } = answer({ method, path, headers, body: Buffer.concat(parts).toString('utf8') })
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(body && JSON.stringify(body))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const stop = () => new Promise<void>(resolve => void server.close(() => resolve()))
  t.teardown(stop)
  // A server that listens on TCP has an AddressInfo.
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, stop }
}
