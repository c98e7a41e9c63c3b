import type { Command } from 'commander'
import { type Client, type CommandAnswer, createClient, type Why } from './client.ts'
import { NotFound, UsageError } from './errors.ts'
import { type Flags, resolveSettings, type Settings } from './settings.ts'
import { currentToken } from './signed-in.ts'

export type Context = { client: Client; settings: Settings }

/** What every subcommand works with: resolved settings and a client of the public API. */
export function contextOf(command: Command): Context {
  const flags = command.optsWithGlobals<Flags & Why>()
  const settings = resolveSettings(flags, process.env, process.stdout.isTTY === true)
  const { url, apiKey } = settings
  const credential = async () => apiKey ?? (await currentToken(process.env, url))
  return { settings, client: readingItsWrites(createClient(settings.url, credential, whyOf(flags))) }
}

/** Nothing that a header could not carry as it was meant. */
function whyOf({ justification, ticket }: Why): Why {
  for (const text of [justification, ticket])
    if (text !== undefined && (text.trim() === '' || /\p{Cc}/u.test(text)))
      throw new UsageError('--justification and --ticket take one line of text')
  return { justification, ticket }
}

/** Waits after each command until it can be seen, so that the next line of a script finds by name what this one made. */
function readingItsWrites(client: Client): Client {
  return {
    ...client,
    async command(name, data) {
      const answer = await client.command(name, data)
      const category = answer.stream.slice(0, answer.stream.indexOf('-'))
      const list = `/v1/${pathNames[category] ?? category}s`
      // Whether it is seen yet, or may be seen with this key, changes nothing about what was done.
      if (answer.events.length > 0)
        await client.get(list, { limit: '1', minPosition: answer.position }).catch(() => undefined)
      return answer
    },
  }
}

/** Streams that are listed by another name. */
const pathNames: Readonly<Record<string, string>> = {
  targetrun: 'run',
  serviceaccount: 'service-account',
  apikey: 'api-key',
  sodrule: 'access/sod-rule',
  sodviolation: 'access/sod-violation',
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** Takes an id as it is; looks a name up and insists that exactly one resource carries it. */
export async function idOf(
  client: Client,
  resource: 'targets' | 'credentials' | 'jobs' | 'service-accounts',
  idOrName: string,
): Promise<string> {
  if (UUID.test(idOrName)) return idOrName.toLowerCase()
  const field = `${resource.slice(0, -1).replace(/-a/, 'A')}Id`
  const found = (await client.list<Record<string, unknown>>(`/v1/${resource}`, { name: idOrName })).filter(
    r => r.name === idOrName,
  )
  const id = found[0]?.[field]
  if (found.length > 1) {
    throw new UsageError(
      `${found.length} ${resource} are called ${idOrName}; name one by its id: ${found.map(f => f[field]).join(', ')}`,
    )
  }
  if (typeof id !== 'string')
    throw new NotFound(
      `there is no ${resource.slice(0, -1)} called ${idOrName}; see \`opsconductor ${resource.slice(0, -1)} list\``,
    )
  return id
}

/** The id of what a command created or changed. */
export const resourceId = (answer: CommandAnswer): string => answer.stream.slice(answer.stream.indexOf('-') + 1)

/** `--tag key=value`, repeatable. */
export function collectTag(pair: string, before: Record<string, string> = {}): Record<string, string> {
  const [key, ...value] = pair.split('=')
  if (!key) throw new UsageError(`--tag takes key=value, not ${pair}`)
  return { ...before, [key]: value.join('=') }
}

export const collect = (value: string, before: string[] = []): string[] => [...before, value]

/** Leaves out what was not given, so that the API's own defaults apply. */
export function given<T extends object>(data: T): Partial<T> {
  return Object.fromEntries(Object.entries(data).filter(([, value]) => value !== undefined)) as Partial<T>
}
