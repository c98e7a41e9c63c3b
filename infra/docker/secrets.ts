import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brokerUsersFor } from '../embedded/supervisor/broker-users.ts'
import { sha256Hex } from '../ids.ts'
import { containerExecutor, passwordVariable } from './nats-config.ts'

export type SecretsOptions = { folder: string; postgresHost?: string; natsHost?: string }

/**
 * Makes the secret files that docker-compose.yml mounts, once: throws when the folder exists. The folder is its owner's
 * alone (0700); the files in it are readable, because the engine mounts them as they are into containers that run as
 * other users.
 */
export function makeSecrets({ folder, postgresHost = 'postgres', natsHost = 'nats' }: SecretsOptions): string[] {
  if (existsSync(folder)) throw new Error(`${folder} exists: existing secrets are not overwritten`)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const files = secretFiles(postgresHost, natsHost)
  for (const [name, text] of files) writeFileSync(join(folder, name), `${text}\n`, { mode: 0o444, flag: 'wx' })
  return files.map(([name]) => name)
}

function secretFiles(postgresHost: string, natsHost: string): [string, string][] {
  const postgresPassword = password()
  const users = brokerUsersFor(containerExecutor, password)
  const token = password()
  const { executorId, pool } = containerExecutor
  return [
    ['postgres_password', postgresPassword],
    ['postgres_url', `postgres://opsconductor:${postgresPassword}@${postgresHost}:5432/opsconductor`],
    ['nats_passwords', users.map(user => `${passwordVariable(user.user)}: "${user.password}"`).join('\n')],
    // The executor shows the token once; the reactors know its digest.
    ['enrolment_token', token],
    ['first_executors', `${executorId}:${pool}:${sha256Hex(token)}`],
    ...users.map((user): [string, string] => [
      `nats_url_${user.user}`,
      `nats://${user.user}:${user.password}@${natsHost}:4222`,
    ]),
  ]
}

function password(): string {
  return randomBytes(24).toString('base64url')
}
