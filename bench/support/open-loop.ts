import { connect, type Socket } from 'node:net'
import { setTimeout as after } from 'node:timers/promises'
import type { Ending } from './system.ts'

/**
 * So many a second for so many seconds, on time whatever became of the ones before; a latency counts from when one was
 * due, in ms.
 */
export async function openLoop(
  perSecond: number,
  seconds: number,
  send: (number: number) => Promise<unknown>,
): Promise<number[]> {
  const began = performance.now()
  const latencies: Array<Promise<number>> = []
  for (let number = 0; number < perSecond * seconds; number++) {
    const due = began + (number * 1000) / perSecond
    const early = due - performance.now()
    if (early > 0) await after(early)
    latencies.push(send(number).then(() => performance.now() - due))
  }
  return await Promise.all(latencies)
}

export const quantile = (values: readonly number[], q: number): number =>
  [...values].sort((a, b) => a - b)[Math.max(0, Math.ceil(values.length * q) - 1)] ?? Number.NaN

/** Sends one command with a key or token. Throws unless it is answered 201. */
export type SendCommand = (name: string, data: object) => Promise<void>

/** One request after another on each socket, by hand: the client's own work is on the same cores as what is measured. */
export function commandSender(t: Ending, base: string, key: string): SendCommand {
  const { host, hostname, port } = new URL(base)
  const idle: Socket[] = []
  t.teardown(() => {
    for (const socket of idle) socket.destroy()
  })
  return async (name, data) => {
    const request = post({
      host,
      path: `/v1/commands/${name}`,
      body: data,
      headers: `authorization: Bearer ${key}\r\n`,
    })
    const socket = idle.pop() ?? connect({ host: hostname, port: Number(port), noDelay: true })
    const status = await exchange(socket, request)
    idle.push(socket)
    if (status !== 201) throw new Error(`answered ${status}`)
  }
}

/** The text of a request; `headers` end their lines. */
export function post(of: { host: string; path: string; body: object; headers?: string }): string {
  const body = JSON.stringify(of.body)
  return (
    `POST ${of.path} HTTP/1.1\r\nhost: ${of.host}\r\n${of.headers ?? ''}` +
    `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
  )
}

/** Sends a request and reads its answer to the end; answers its status. */
export function exchange(socket: Socket, request: string): Promise<number> {
  return new Promise((resolve, reject) => {
    let text = ''
    const onData = (bytes: Buffer) => {
      text += bytes.toString('latin1')
      const bodyAt = text.indexOf('\r\n\r\n') + 4
      const length = /\r\ncontent-length: (\d+)\r\n/i.exec(text)?.[1]
      if (bodyAt < 4 || length === undefined || text.length < bodyAt + Number(length)) return
      socket.off('data', onData).off('error', reject)
      resolve(Number(text.slice(9, 12)))
    }
    socket.on('data', onData).on('error', reject)
    socket.write(request)
  })
}
