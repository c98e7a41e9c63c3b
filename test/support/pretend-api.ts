import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export type Asked = {
  method: string
  path: string
  query: Record<string, string>
  body: unknown
  as: string | undefined
}
/** What is answered: JSON with 200, or a status with its JSON. */
export type Pretended = object | { status: number; body: object }

/** Something that answers like the API as far as one command line can tell, and keeps what it was asked. */
export async function pretendApi(
  t: { teardown(fn: () => unknown): unknown },
  answer: (asked: Asked) => Pretended | Promise<Pretended>,
) {
  const asked: Asked[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://pretended')
    const text = Buffer.concat(chunks).toString()
    const one = {
      ...{ method: request.method ?? '', path: pathname, query: Object.fromEntries(searchParams) },
      ...{ body: text === '' ? undefined : JSON.parse(text), as: request.headers.authorization?.slice(7) },
    }
    asked.push(one)
    const given = await answer(one)
    const { status, body } = 'status' in given && 'body' in given ? given : { status: 200, body: given }
    response.writeHead(Number(status), { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  // A TCP server's address is never a path.
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url, asked, forget: () => asked.splice(0) }
}

export const problemAnswer = (status: number, code: string, detail?: string): Pretended => ({
  status,
  body: { type: `urn:opsconductor:problem:${code}`, title: code, status, ...(detail !== undefined && { detail }) },
})
