import { natsServerConfig } from '../embedded/broker/index.ts'
import { brokerUsersFor } from '../embedded/supervisor/broker-users.ts'

/** The one executor of docker-compose.yml; each further one needs a user of its own in the broker. */
export const containerExecutor = { executorId: 'executor-1', pool: 'default' }

/** The text of infra/docker/nats.conf: the embedded broker's users with passwords from a secret file. */
export function containerNatsConfig(): string {
  const users = brokerUsersFor(containerExecutor, () => 'from the secret file')
  return natsServerConfig({
    users: users.map(user => ({ ...user, password: { variable: passwordVariable(user.user) } })),
    // Relative to /etc/nats, where the file is mounted: nats-server takes no absolute path here.
    include: '../../run/secrets/nats_passwords',
    listen: '0.0.0.0:4222',
    monitor: '127.0.0.1:8222',
  })
}

export function passwordVariable(user: string): string {
  return `${user}_password`
}
