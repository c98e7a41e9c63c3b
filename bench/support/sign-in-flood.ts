import { connect } from 'node:net'
import { setTimeout as after } from 'node:timers/promises'
import { type Emit, measurement } from '../measurement.ts'
import { benchApi } from './api.ts'
import { commandSender, exchange, openLoop, post, quantile, type SendCommand } from './open-loop.ts'
import { type BenchSystem, benchSystem, ending } from './system.ts'

const RUNS = 3
const SECONDS = 15
const COMMANDS_PER_SECOND = 50
const SIGN_INS_PER_SECOND = 200
const USERS = 20
/** Each of them may be wrong a hundred times in a quarter of an hour, and ask 50 times a second: no limit hides anything. */
const ADDRESSES = 500
const passphrase = 'four rusty lanterns under water'

type Answered = Record<number, number>

/**
 * Commands of somebody who is signed in, on a whole system, without and with a flood of attempts to sign in beside them:
 * wrong passphrases, by turns for somebody there is and for somebody there is not, on a connection of its own each, from
 * hundreds of addresses.
 */
export async function signInFlood(emit: Emit, scale: number): Promise<void> {
  const t = ending()
  try {
    const system = await benchSystem(t)
    const { loginNames, accessToken } = await people(system)
    const send = commandSender(t, system.url, accessToken)
    const seconds = Math.max(2, Math.round(SECONDS * scale))
    await measured(send, 5)
    const quiet: number[][] = []
    const flooded: number[][] = []
    const answered: Answered = {}
    // By turns, so that whatever else the machine does meets both.
    for (let round = 0; round < RUNS; round += 1) {
      quiet.push(await measured(send, seconds))
      const flood = floodFrom(system.url, loginNames, { seconds: seconds + 1, round, answered })
      await after(500)
      flooded.push(await measured(send, seconds))
      await flood
    }
    report(emit, { quiet, flooded, answered, seconds: RUNS * (seconds + 1) })
  } finally {
    await t.end()
  }
}

const measured = (send: SendCommand, seconds: number): Promise<number[]> =>
  openLoop(COMMANDS_PER_SECOND, seconds, number => {
    return send('create-target', { name: `web-${number}`, address: '192.0.2.1', tags: { env: 'prod' } })
  })

/** Those who are guessed at, and one of them who is signed in and may create targets. */
async function people(system: BenchSystem): Promise<{ loginNames: string[]; accessToken: string }> {
  const api = benchApi(system)
  const loginNames = Array.from({ length: USERS }, (_, n) => `user-${n}`)
  let accessToken = ''
  for (const loginName of loginNames) {
    const { link, stream } = JSON.parse(await api.post('create-user', { loginName }))
    const body = JSON.stringify({ link, passphrase })
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(`${system.url}/v1/auth/link`, { method: 'POST', headers, body })
    const signedIn = JSON.parse(await answer.text())
    if (signedIn.status !== 'signed-in') throw new Error(`${loginName} could not sign in: ${answer.status}`)
    accessToken = signedIn.accessToken
    const principal = { kind: 'user', id: stream.slice('user-'.length) }
    await api.command('grant-role', { principal, role: 'target-admin', scope: { kind: 'everything' }, reason: 'bench' })
  }
  return { loginNames, accessToken }
}

async function floodFrom(
  url: string,
  loginNames: readonly string[],
  { seconds, round, answered }: { seconds: number; round: number; answered: Answered },
): Promise<void> {
  const { host, hostname, port } = new URL(url)
  await openLoop(SIGN_INS_PER_SECOND, seconds, async number => {
    const n = round * seconds * SIGN_INS_PER_SECOND + number
    const known = loginNames[(n >> 1) % loginNames.length] ?? ''
    const body = { loginName: n % 2 ? known : `nobody-${n}`, passphrase: `wrong passphrase number ${n}` }
    const request = post({ host, path: '/v1/auth/sign-in', body, headers: 'connection: close\r\n' })
    // Everything in 127.0.0.0/8 is this machine.
    const localAddress = `127.0.${1 + Math.floor((n % ADDRESSES) / 250)}.${1 + (n % 250)}`
    const socket = connect({ host: hostname, port: Number(port), localAddress, noDelay: true })
    const status = await exchange(socket, request).finally(() => socket.destroy())
    answered[status] = (answered[status] ?? 0) + 1
  })
}

type Seen = { quiet: number[][]; flooded: number[][]; answered: Answered; seconds: number }

function report(emit: Emit, { quiet, flooded, answered, seconds }: Seen): void {
  const { 401: judged = 0, 429: turnedAway = 0, ...others } = answered
  const failed = Object.values(others).reduce((sum, count) => sum + count, 0)
  const at = (of: number[][], q: number) => of.map(latencies => quantile(latencies, q))
  for (const [name, q] of [
    ['p50', 0.5],
    ['p99', 0.99],
  ] as const) {
    const without = measurement(name, 'ms', at(quiet, q)).value
    emit(measurement(`auth.flood.${name}`, 'ms', at(flooded, q), without))
  }
  emit(measurement('auth.flood.sign-ins', '1/s', [(judged + turnedAway) / seconds], SIGN_INS_PER_SECOND))
  emit(measurement('auth.flood.judged', '1/s', [judged / seconds]))
  emit(measurement('auth.flood.failed', '1/s', [failed / seconds]))
}
