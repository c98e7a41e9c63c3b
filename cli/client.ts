import { randomUUID } from 'node:crypto'
import type { Problem } from '../schemas/problems.ts'
import { ApiProblem, Unreachable } from './errors.ts'
import { type ServerEvent, serverEvents } from './server-events.ts'

export type CommandAnswer = {
  commandId: string
  stream: string
  revision: string
  position: string
  events: Array<{ id: string; type: string; revision: string }>
}
export type Page<T> = { items: T[]; next?: string | null }

/** The public HTTP API, as any program would use it. */
export type Client = {
  url: string
  /** Sends a command; a repeat after a lost answer is harmless, as every call carries its own Idempotency-Key. */
  command(name: string, data: object): Promise<CommandAnswer>
  /** The same for those that answer otherwise: plans, and commands about many resources. */
  send<T>(name: string, data: object): Promise<T>
  /** Any other request that changes something. */
  post<T>(path: string, data: object): Promise<T>
  get<T>(path: string, query?: Record<string, string | undefined>): Promise<T>
  /** The whole of a list, page by page, at most `limit` items. */
  list<T>(path: string, query?: Record<string, string | undefined>, limit?: number): Promise<T[]>
  /** Server-sent events, resumed after a break with the last id seen, until the server ends them. */
  events(path: string): AsyncGenerator<ServerEvent>
}

const PAGE = 200
const TRIES = 3

type Credential = string | undefined | (() => Promise<string | undefined>)

/** Why commands are sent, for whoever reads the log later and for rules that ask. */
export type Why = { justification?: string | undefined; ticket?: string | undefined }

/** `credential`: an API key, or a token that is asked for anew with each request, because it does not last. */
export function createClient(url: string, credential: Credential, why: Why = {}): Client {
  const call = async (path: string, init: RequestInit = {}): Promise<Response> => {
    const presented = typeof credential === 'function' ? await credential() : credential
    const headers = {
      ...(presented !== undefined && { authorization: `Bearer ${presented}` }),
      'user-agent': 'opsconductor-cli',
    }
    const response = await reach(`${url}${path}`, { ...init, headers: { ...headers, ...init.headers } })
    if (!response.ok) throw await problemOf(response)
    return response
  }
  const get = async <T>(path: string, query: Record<string, string | undefined> = {}) =>
    (await (await call(withQuery(path, query))).json()) as T
  const send = async <T>(name: string, data: object): Promise<T> => {
    const init = {
      method: 'POST',
      body: JSON.stringify(data),
      headers: { 'content-type': 'application/json', 'idempotency-key': randomUUID(), ...whyHeaders(why) },
    }
    return (await (await call(`/v1/commands/${name}`, init)).json()) as T
  }
  const post = async <T>(path: string, data: object): Promise<T> => {
    const init = { method: 'POST', body: JSON.stringify(data), headers: { 'content-type': 'application/json' } }
    return (await (await call(path, init)).json()) as T
  }
  return {
    url,
    get,
    post,
    send,
    command: send<CommandAnswer>,
    async list<T>(path: string, query: Record<string, string | undefined> = {}, limit = 1000) {
      const items: T[] = []
      let cursor: string | undefined
      do {
        const size = String(Math.min(PAGE, limit - items.length))
        const page: Page<T> = await get(path, { ...query, limit: size, cursor })
        items.push(...page.items)
        cursor = page.next ?? undefined
      } while (cursor !== undefined && items.length < limit)
      return items
    },
    events: path =>
      serverEvents(lastId =>
        call(path, { headers: { accept: 'text/event-stream', ...(lastId && { 'last-event-id': lastId }) } }),
      ),
  }
}

function whyHeaders({ justification, ticket }: Why): Record<string, string> {
  return {
    ...(justification !== undefined && { 'x-justification': inUtf8(justification) }),
    ...(ticket !== undefined && { 'x-ticket': inUtf8(ticket) }),
  }
}

/** `fetch` takes a character of a header for a byte. */
const inUtf8 = (text: string): string => Buffer.from(text).toString('latin1')

function withQuery(path: string, query: Record<string, string | undefined>): string {
  const set = Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined)
  return set.length ? `${path}?${new URLSearchParams(set)}` : path
}

/** Every request may be repeated: reads by nature, commands by their key. */
export async function reach(url: string, init: RequestInit): Promise<Response> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await fetch(url, init)
    } catch (error) {
      if (attempt === TRIES) {
        const { origin } = new URL(url)
        const cause = error instanceof Error && error.cause instanceof Error ? ` (${error.cause.message})` : ''
        throw new Unreachable(
          `${origin} does not answer${cause}. Is the system up? Start it with \`npm start\`, or name another one with --url.`,
        )
      }
      await new Promise(resolve => setTimeout(resolve, 200 * attempt))
    }
  }
}

export async function problemOf(response: Response): Promise<ApiProblem> {
  const text = await response.text()
  try {
    return new ApiProblem(JSON.parse(text) as Problem)
  } catch {
    return new ApiProblem({
      type: 'urn:opsconductor:problem:internal',
      title: `HTTP ${response.status}`,
      status: response.status,
    })
  }
}
