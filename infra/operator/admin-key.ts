import { parseArgs } from 'node:util'
import { apiKeyId, createApiKey, listApiKeys, removeApiKey } from '../api-keys.ts'
import { loadConfig } from '../config.ts'

const usage = `opsconductor admin-key create [--label <text>] [--ttl <seconds>] [--json]
opsconductor admin-key list
opsconductor admin-key remove <id>

Works on the key file of the data folder, so whoever owns that folder can always let themselves in.
A key is shown once; only its hash is kept.`

/** `opsconductor admin-key …`, on the machine that holds the key file. Answers the exit code. */
export function adminKey(argv: string[]): number {
  const options = { label: { type: 'string' }, ttl: { type: 'string' }, json: { type: 'boolean' } } as const
  const { values, positionals } = parseArgs({ args: argv, options, allowPositionals: true })
  const file = loadConfig().apiKeysFile
  const [action, id] = positionals
  if (action === 'create') return create(file, values)
  if (action === 'list') return list(file)
  if (action === 'remove' && id !== undefined) return remove(file, id)
  console.error(usage)
  return 2
}

function create(
  file: string,
  { label = 'administrator', ttl, json }: { label?: string; ttl?: string; json?: boolean },
): number {
  if (ttl !== undefined && !/^[1-9]\d{0,8}$/.test(ttl)) {
    console.error('--ttl takes a number of seconds')
    return 2
  }
  const lifetime = ttl === undefined ? {} : { ttlSeconds: Number(ttl) }
  const key = createApiKey(file, label, { now: new Date().toISOString(), ...lifetime })
  console.log(json ? JSON.stringify({ id: apiKeyId(key), key }) : key)
  return 0
}

function list(file: string): number {
  for (const { id, label, createdAt, expiresAt } of listApiKeys(file)) {
    console.log(`${id}  ${createdAt}  ${expiresAt ? `until ${expiresAt}` : 'no expiry'}  ${label}`)
  }
  return 0
}

function remove(file: string, id: string): number {
  if (removeApiKey(file, id)) return 0
  console.error(`there is no key ${id}; see opsconductor admin-key list`)
  return 4
}
