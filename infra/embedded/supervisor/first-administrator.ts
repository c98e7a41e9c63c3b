import { egressPolicy, sendGuarded } from '../../egress.ts'

/** What an API answers to the two commands. */
type Answer = { stream: string; link: string }

export const FIRST_LOGIN_NAME = 'administrator'
const PATIENCE_MS = 10_000
const PAUSE_MS = 200
const MOST_BYTES = 65_536

/**
 * Invites the first person who may do everything, by the same commands as anybody else would: the link that comes back
 * sets their passphrase, once. Undefined when that cannot be done now; there are other ways in.
 */
export async function inviteFirstAdministrator(url: string, key: string): Promise<string | undefined> {
  const { stream, link } = (await patiently(() => send(url, key, 'create-user', { loginName: FIRST_LOGIN_NAME }))) ?? {}
  if (stream === undefined) return undefined
  const principal = { kind: 'user', id: stream.slice('user-'.length) }
  const grant = { principal, role: 'administrator', scope: { kind: 'everything' }, reason: 'first administrator' }
  const granted = await patiently(() => send(url, key, 'grant-role', grant))
  return granted && link
}

/** The key was made a moment ago, and what has just started may still be finding its feet. */
async function patiently<T>(work: () => Promise<T>): Promise<T | undefined> {
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    try {
      return await work()
    } catch {
      if (performance.now() > deadline) return undefined
    }
    await new Promise(resolve => setTimeout(resolve, PAUSE_MS))
  }
}

async function send(url: string, key: string, command: string, data: object): Promise<Answer> {
  // Ourselves, wherever we were told to listen.
  const policy = egressPolicy([new URL(url).hostname])
  const { status, body } = await sendGuarded(policy, {
    ...{ method: 'POST', url: `${url}/v1/commands/${command}`, body: JSON.stringify(data), followRedirects: 0 },
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    ...{ maxBytes: MOST_BYTES, connectMs: PATIENCE_MS, signal: AbortSignal.timeout(PATIENCE_MS) },
  })
  if (status >= 300) throw new Error(`${command} was answered ${status}`)
  // The shape is that of our own API, of the same version.
  return JSON.parse(body.toString('utf8')) as Answer
}
