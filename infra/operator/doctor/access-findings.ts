import type { Database, Facts, Finding, PrivateFile } from './facts.ts'

const DAY_MS = 86_400_000
const OLD_KEY_DAYS = 90
const SOON_DAYS = 14

/** Who can get in, and with what. */
export function accessFindings(facts: Facts): Finding[] {
  const database = typeof facts.database === 'object' ? facts.database : undefined
  return [
    ...adminKeys(facts, database),
    ...ownerless(database),
    ...secondFactors(database),
    ...firstUse(database),
    ...expiring(facts, database),
    ...facts.files.flatMap(privateFile),
    ...kek(facts),
  ]
}

const days = (from: string, to: string) => Math.floor((Date.parse(to) - Date.parse(from)) / DAY_MS)

function adminKeys({ adminKeys, now }: Facts, database: Database | undefined): Finding[] {
  const alive = adminKeys.filter(({ expiresAt }) => expiresAt === undefined || expiresAt > now)
  if (alive.length === 0) return []
  const named = alive.map(({ id, label }) => `${id} (${label})`).join(', ')
  const found: Finding[] = []
  if (database && database.administrators > 0) {
    found.push({
      ...{ id: 'admin-key-in-use', severity: 'warning' },
      what: `Beside real administrators there are keys that may do everything and belong to nobody: ${named}.`,
      todo: 'Remove them (opsconductor admin-key remove <id>); whoever owns the data folder can always make another.',
    })
  } else {
    found.push({
      ...{ id: 'admin-key-in-use', severity: 'note' },
      what: `The system is administered with keys that belong to nobody: ${named}.`,
      todo: 'Make people administrators, then remove the keys.',
    })
  }
  for (const { id, label, createdAt } of alive.filter(key => days(key.createdAt, now) >= OLD_KEY_DAYS)) {
    found.push({
      ...{ id: 'admin-key-old', severity: 'warning' },
      what: `The administrator key ${id} (${label}) is ${days(createdAt, now)} days old.`,
      todo: 'Make a new one (opsconductor admin-key create --ttl …) and remove this one.',
    })
  }
  return found
}

function secondFactors(database: Database | undefined): Finding[] {
  const [first, ...others] = database?.withoutSecondFactor ?? []
  if (first === undefined) return []
  const named = others.length > 0 ? `${first} and ${others.length} more` : first
  return [
    {
      ...{ id: 'administrator-without-second-factor', severity: 'warning' },
      what: `A passphrase is all it takes to be an administrator: ${named}.`,
      todo: 'Let them enrol an authenticator (POST /v1/auth/totp/begin, then /confirm).',
    },
  ]
}

function firstUse(database: Database | undefined): Finding[] {
  const { trusted, targets } = database?.firstUse ?? { trusted: 0, targets: 0 }
  if (trusted === 0) return []
  return [
    {
      ...{ id: 'host-keys-by-first-use', severity: 'note' },
      what: `Of ${targets} targets ${trusted} are trusted by whoever answers first.`,
      todo: 'Pin the host keys of those that matter (opsconductor target pin-host-key).',
    },
  ]
}

function ownerless(database: Database | undefined): Finding[] {
  return (database?.ownerless ?? []).map(({ id, name, lost }) => ({
    ...{ id: 'ownerless-service-account', severity: lost ? 'warning' : 'note' },
    what: lost
      ? `Whoever answered for the service account ${name} (${id}) has left; its keys work on.`
      : `Nobody answers for the service account ${name} (${id}).`,
    todo: `opsconductor service-account transfer ${id} <user:id|group:id> <reason>, or disable it${lost ? '; issue new keys if they knew the old ones' : ''}.`,
  }))
}

function expiring({ adminKeys, now }: Facts, database: Database | undefined): Finding[] {
  const own = adminKeys.map(({ id, label, expiresAt }) => ({
    kind: 'administrator key',
    id,
    name: label,
    at: expiresAt,
  }))
  const soon = [...own, ...(database?.expiring ?? [])].flatMap(({ at, ...rest }) => {
    const left = at === undefined ? undefined : days(now, at)
    return at !== undefined && at > now && left !== undefined && left < SOON_DAYS ? [{ ...rest, left }] : []
  })
  return soon.map(({ kind, id, name, left }) => ({
    ...{ id: 'expiring', severity: 'warning' },
    what: `The ${kind} ${name === id ? id : `${name} (${id})`} expires in ${left} days.`,
    todo: 'Replace it before then, or let it go.',
  }))
}

function privateFile({ what, path, mode, insideData }: PrivateFile): Finding[] {
  const found: Finding[] = []
  if (mode !== undefined && (mode & 0o077) !== 0) {
    const folder = what === 'data folder'
    // Made by whoever runs containers, who may keep others out in another way.
    const mounted = what === 'secret file'
    found.push({
      ...{ id: 'readable-by-others', severity: folder || mounted ? 'warning' : 'danger' },
      what: `The ${what} ${path} can be read by others than its owner (mode ${mode.toString(8)}).`,
      todo: folder
        ? `chmod 700 ${path}`
        : `chmod 600 ${path}, and replace what was in it if others could have read it.`,
    })
  }
  if (what === 'key-encryption keys' && insideData) {
    found.push({
      ...{ id: 'kek-beside-data', severity: 'danger' },
      what: `The ${what} ${path} lie in the data folder: every copy of the data carries its own key.`,
      todo: 'Move the file out of it and set OPSCONDUCTOR_KEK_FILE.',
    })
  }
  return found
}

function kek({ kekProvider }: Facts): Finding[] {
  if (kekProvider !== 'environment') return []
  return [
    {
      ...{ id: 'kek-in-environment', severity: 'warning' },
      what: 'Key-encryption keys are in the environment, where crash reports and other processes of the user may see them.',
      todo: 'Use a file of its own, HashiCorp Vault or AWS KMS (OPSCONDUCTOR_KEK_PROVIDER).',
    },
  ]
}
