import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { BrokerOptions } from '../../infra/embedded/broker/index.ts'

export type TestBroker = {
  /** With the token or the first user's credentials. */
  url: string
  port: number
  urlFor(user: string): string
  /** Asks it to end and waits. */
  stop(): Promise<void>
  kill9(): Promise<void>
  /** On the same port; nothing is kept. */
  restart(): Promise<void>
}

type Teardown = { teardown(handler: () => Promise<void>): unknown }

export type TestBrokerOptions = Omit<BrokerOptions, 'log' | 'host'>

const script = fileURLToPath(new URL('./broker-process.js', import.meta.url))

/** Starts the embedded broker as a process of its own on a free loopback port; it ends with the test. */
export async function startBroker(t: Teardown, options: TestBrokerOptions = {}): Promise<TestBroker> {
  const { url, urlFor } = urls(options)
  let running = await launch(options)
  t.teardown(() => end(running.child, 'SIGTERM'))
  const { port } = running
  return {
    url: url(port),
    port,
    urlFor: user => urlFor(port, user),
    stop: () => end(running.child, 'SIGTERM'),
    kill9: () => end(running.child, 'SIGKILL'),
    restart: async () => {
      await end(running.child, 'SIGTERM')
      running = await launch({ ...options, port })
    },
  }
}

/** How clients reach a broker with these users or this token. */
export function urls(options: Pick<BrokerOptions, 'users' | 'token'>) {
  const at = (port: number, credentials: string) => `nats://${credentials}127.0.0.1:${port}`
  const urlFor = (port: number, name: string) => {
    const user = options.users?.find(each => each.user === name)
    if (!user) throw new Error(`No such broker user: ${name}`)
    return at(port, `${encodeURIComponent(user.user)}:${encodeURIComponent(user.password)}@`)
  }
  const url = (port: number) => {
    const [first] = options.users ?? []
    if (first) return urlFor(port, first.user)
    return at(port, options.token === undefined ? '' : `${encodeURIComponent(options.token)}@`)
  }
  return { url, urlFor }
}

async function launch(options: BrokerOptions): Promise<{ child: ChildProcess; port: number }> {
  const child = fork(script, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  child.send(options)
  const answer = await Promise.race([
    once(child, 'message').then(([message]) => message as { port: number }), // sent by broker-process
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`The broker ended with ${code} at start`))),
  ])
  return { child, port: answer.port }
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill(signal)
  await gone
}
