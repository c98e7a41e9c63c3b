import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { executorId as executorIdSchema } from '../../schemas/executor.ts'
import { natsServerConfig } from '../embedded/broker/index.ts'
import { brokerUsers } from '../nats-permissions.ts'
import { writeNewPrivateFile } from '../private-file.ts'

const usage = `opsconductor nats-config --executor <id> [--executor <id> …] > nats.conf

Writes a nats-server configuration: a user for each part of the control plane and for each executor, with the subjects
it needs and no others. Passwords are variables that an included file sets.

  --passwords <file>   keep random passwords in that file, mode 0600: those it has stay, those it lacks are added,
                       those of executors that are not named are gone
  --include <path>     how nats.conf names it, relative to itself (default: passwords.conf)
  --listen <host:port> default 127.0.0.1:4222
  --tls-cert <path>, --tls-key <path>
                       the server's certificate and key; needed beyond loopback
  --without-tls        beyond loopback all the same: something else encrypts`

type Values = {
  executor?: string[]
  passwords?: string
  include?: string
  listen?: string
  'tls-cert'?: string
  'tls-key'?: string
  'without-tls'?: boolean
}

/** `opsconductor nats-config …`. Answers the exit code. */
export function natsConfig(argv: string[]): number {
  const text = { type: 'string' } as const
  const options = {
    executor: { type: 'string', multiple: true },
    ...{ passwords: text, include: text, listen: text, 'tls-cert': text, 'tls-key': text },
    'without-tls': { type: 'boolean' },
  } as const
  try {
    process.stdout.write(configuration(parseArgs({ args: argv, options }).values))
    return 0
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${usage}`)
    return 2
  }
}

function configuration({ executor = [], passwords, include = 'passwords.conf', ...values }: Values): string {
  const listen = values.listen ?? '127.0.0.1:4222'
  const [certificate, key] = [values['tls-cert'], values['tls-key']]
  if (executor.length === 0) throw new Error('name at least one executor')
  for (const executorId of executor) {
    if (!executorIdSchema.safeParse(executorId).success) throw new Error(`${executorId} is not the name of an executor`)
  }
  if ((certificate === undefined) !== (key === undefined)) throw new Error('--tls-cert and --tls-key go together')
  if (!/^(127\.|localhost:|\[::1\])/.test(listen) && certificate === undefined && !values['without-tls'])
    throw new Error(`passwords would go to ${listen} readable: give --tls-cert and --tls-key`)
  const users = brokerUsers(
    executor.map(executorId => ({ executorId })),
    () => 'in the included file',
  )
  if (passwords !== undefined)
    keepPasswords(
      passwords,
      users.map(({ user }) => user),
    )
  return natsServerConfig({
    users: users.map(user => ({ ...user, password: { variable: passwordVariable(user.user) } })),
    ...{ include, listen },
    ...(certificate !== undefined && key !== undefined && { tls: { certificate, key } }),
  })
}

const passwordVariable = (user: string): string => `password_of_${user.replaceAll('-', '_')}`

/** Exactly those of the configuration: nats-server takes a variable that nothing uses for a mistake. */
function keepPasswords(file: string, users: readonly string[]): void {
  const known = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []
  const lines = users.map(user => {
    const variable = `${passwordVariable(user)}: `
    return known.find(line => line.startsWith(variable)) ?? `${variable}"${randomBytes(24).toString('base64url')}"`
  })
  const beside = `${file}.new`
  rmSync(beside, { force: true })
  writeNewPrivateFile(beside, `${lines.join('\n')}\n`)
  renameSync(beside, file)
}
