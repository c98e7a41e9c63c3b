import { createSignInFacts, endSession, endSessionsBefore, type SignInFacts, signInKinds } from '../../infra/access.ts'
import type { Log } from '../../infra/log.ts'
import type { Revocation } from '../../schemas/revocation.ts'
import type { Reader } from '../reader.ts'

/** What ends tokens and keys before their time, in step with the read models. */
export interface SignInView {
  readonly facts: SignInFacts
  /** True once the read models were read: nobody but an administrator of the key file comes in before. */
  readonly live: boolean
  /** Looks now, at most every tenth of a second. */
  refresh(): Promise<void>
  /** These sessions are over, whatever the read models say yet. */
  end(revocation: Revocation): void
  stop(): Promise<void>
}

const LOOK_MS = 250
const PAUSE_MS = 25
const SOON_MS = 100

type VersionRow = { kind: (typeof signInKinds)[number]; id: string; valid_from: string; state: State }
type State = {
  status: string
  sessionsFrom?: string | null
  secretHash?: string
  owner?: { kind: 'user' | 'service-account'; id: string }
}

/** `changed`: told of users about whom something is new. */
export function createSignInView(options: {
  reader: Reader
  log: Log
  changed?: (userIds: readonly string[]) => void
}): SignInView {
  const { reader, log, changed } = options
  const stopped = new AbortController()
  let facts = createSignInFacts()
  let known: bigint | undefined
  let looked = Number.NEGATIVE_INFINITY
  const look = async () => {
    looked = performance.now()
    const newest = await newestChange(reader)
    if (known !== undefined && newest === known) return
    // Another history than the one that was read: nothing of it counts any more.
    const isOther = known !== undefined && newest < known
    const rows = await currentRows(reader, isOther || known === undefined ? -1n : known)
    const next = isOther ? createSignInFacts() : facts
    for (const row of rows) put(next, row)
    facts = next
    known = rows.reduce((most, row) => (BigInt(row.valid_from) > most ? BigInt(row.valid_from) : most), newest)
    changed?.(rows.filter(({ kind }) => kind === 'user').map(({ id }) => id))
  }
  const running = (async () => {
    while (!stopped.signal.aborted) {
      const hint = reader.hint(LOOK_MS)
      await look().catch(err => log.debug({ err }, 'what has ended cannot be read: what was known goes on'))
      await hint
      await new Promise(resolve => setTimeout(resolve, PAUSE_MS))
    }
  })()
  return {
    get facts() {
      return facts
    },
    get live() {
      return known !== undefined
    },
    end({ over, at }) {
      if (over.kind === 'session') endSession(facts, over.sessionId, Date.parse(at))
      if (over.kind === 'sessions') endSessionsBefore(facts, over.userId, Date.parse(at))
    },
    async refresh() {
      if (performance.now() - looked > SOON_MS) await look().catch(() => undefined)
    },
    async stop() {
      stopped.abort()
      await running
    },
  }
}

function put(facts: SignInFacts, { kind, id, state }: VersionRow): void {
  const { status, sessionsFrom, secretHash, owner } = state
  switch (kind) {
    case 'session':
      if (status === 'ended') endSession(facts, id, Date.now())
      break
    case 'user':
      if (typeof sessionsFrom === 'string') endSessionsBefore(facts, id, Date.parse(sessionsFrom))
      break
    case 'apikey':
      if (status === 'active' && secretHash !== undefined && owner) facts.keys.set(id, { secretHash, owner })
      else facts.keys.delete(id)
  }
}

/** One look into an index for each kind. */
async function newestChange(reader: Reader): Promise<bigint> {
  const [row] = await reader.query<{ newest: string | null }>(
    `select max(newest) as newest from unnest($1::text[]) kind
     cross join lateral (select max(valid_from) as newest from read_model.resource_version v where v.kind = kind.kind) each`,
    [signInKinds],
  )
  return BigInt(row?.newest ?? -1)
}

/** Of sessions only those that ended lately: no token lives longer. */
async function currentRows(reader: Reader, after: bigint): Promise<VersionRow[]> {
  return await reader.query<VersionRow>(
    `select kind, id, valid_from, state from read_model.resource_version
     where kind = any($1) and valid_to is null and valid_from > $2
       and (kind <> 'session' or (status = 'ended' and valid_from_time > now() - interval '15 minutes'))`,
    [signInKinds, after],
  )
}
