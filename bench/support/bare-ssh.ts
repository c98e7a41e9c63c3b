import { once } from 'node:events'
import { connect } from 'node:net'
import ssh2, { type Client } from 'ssh2'
import { gatherWrites } from '../../executors/ssh/gather-writes.ts'
import type { Sshd } from '../../test/support/sshd.ts'

const AT_ONCE = 64

/**
 * The SSH library alone over connections that are open already: what is left when nothing is chosen, recorded, stored
 * or shown. No program that uses this library, and these servers, can be faster.
 */
export async function bareSsh(sshd: Sshd, hosts: string[]) {
  const clients: Client[] = []
  await each(hosts, async host => {
    const client = new ssh2.Client()
    client.connect({
      sock: gatherWrites(connect({ host, port: sshd.port, noDelay: true })),
      ...{ username: sshd.username, privateKey: sshd.privateKey },
      algorithms: { kex: ['curve25519-sha256'] },
      hostVerifier: (key: Buffer) => sshd.hostKey.endsWith(key.toString('base64')),
    })
    await once(client, 'ready')
    clients.push(client)
  })
  return {
    /** Answers the milliseconds until all have answered. */
    async hostname(): Promise<number> {
      const began = performance.now()
      await each(clients, hostname)
      return performance.now() - began
    },
    end(): void {
      for (const client of clients) client.end()
    },
  }
}

function hostname(client: Client): Promise<void> {
  return new Promise((resolve, reject) => {
    client.exec('hostname', (error, channel) => {
      if (error) return reject(error)
      channel.resume().stderr.resume()
      channel.on('exit', code => code !== 0 && reject(new Error(`hostname ended with ${code}`)))
      channel.on('close', () => resolve())
    })
  })
}

/** So many at once as the peers have. */
async function each<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items]
  const worker = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}
