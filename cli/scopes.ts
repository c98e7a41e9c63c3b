import type { Client } from './client.ts'
import { idOf } from './context.ts'
import { UsageError } from './errors.ts'

type Pair = { kind: string; id: string }

/** `user:<id>` */
export function pairText(pair: unknown): string {
  const { kind, id } = (pair ?? {}) as Partial<Pair>
  return `${kind}:${id}`
}

export function scopeText(scope: unknown): string {
  const { kind, labels, resource } = (scope ?? {}) as { kind?: string; labels?: string; resource?: Pair }
  return kind === 'labels' ? `targets ${labels}` : kind === 'resource' ? pairText(resource) : 'everything'
}

/** What is asked of the API by its parts is checked there; here only that there are two of them. */
export function pairOf(text: string): Pair {
  const at = text.indexOf(':')
  if (at < 1) throw new UsageError(`such as user:0192d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d, not ${text}`)
  return { kind: text.slice(0, at), id: text.slice(at + 1) }
}

export type ScopeOptions = { labels?: string; on?: string }

export async function scopeOf(client: Client, { labels, on }: ScopeOptions): Promise<object> {
  if (labels !== undefined && on !== undefined) throw new UsageError('either --labels or --on')
  if (labels !== undefined) return { kind: 'labels', labels }
  if (on === undefined) return { kind: 'everything' }
  return { kind: 'resource', resource: await resourceOf(client, on) }
}

/** Several of each, as an API key is narrowed; undefined for none. */
export async function scopesOf(
  client: Client,
  { labels = [], on = [] }: { labels?: string[]; on?: string[] },
): Promise<object[] | undefined> {
  const things = await Promise.all(on.map(one => scopeOf(client, { on: one })))
  const all = [...labels.map(each => ({ kind: 'labels', labels: each })), ...things]
  return all.length === 0 ? undefined : all
}

/** By id, or by name where things have one. */
export async function resourceOf(client: Client, text: string): Promise<Pair> {
  const { kind, id } = pairOf(text)
  const plural = ({ target: 'targets', credential: 'credentials', job: 'jobs' } as const)[kind]
  return { kind, id: plural ? await idOf(client, plural, id) : id }
}
