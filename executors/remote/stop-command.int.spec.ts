import { randomUUID } from 'node:crypto'
import type { ClientChannel } from 'ssh2'
import t, { type Test } from 'tap'
import { programOrSkip } from '../../test/support/packages.ts'
import { isAlive } from '../../test/support/process-tree.ts'
import { startSshd } from '../../test/support/sshd.ts'
import { type Announcement, MarkerFilter } from '../output/marker.ts'
import { connectAside } from '../ssh/pool.ts'
import { remoteCommand } from './command.ts'
import { stopCommand } from './stop-command.ts'

const TOKEN = 'opsc-0123456789'
/** As on a system without /proc. */
const withoutProc = (command: string) => command.replaceAll('/proc/', '/no-proc/')
const asItIs = (command: string) => command

/** A login on a real server: long commands are begun there, and stopped. */
async function login(t: Test) {
  const { host: address, port, username, hostKey, privateKey } = await startSshd(t)
  const ids = { targetId: randomUUID(), credentialId: randomUUID(), version: 1 }
  const connection = await connectAside({
    endpoint: { ...ids, address, port, username },
    knownHostKey: hostKey,
    verifyHostKey: async () => undefined,
    secret: async () => ({ kind: 'ssh-key', privateKey }),
    signal: new AbortController().signal,
  })
  t.teardown(() => connection.end())
  /** `printed`: all of it, once it has ended. */
  const begin = async (command: string, on = asItIs): Promise<Announcement & { printed: Promise<string> }> => {
    const wrapped = remoteCommand({ command, variables: {}, stdin: '', sudo: undefined }, TOKEN)
    const running = await connection.exec(on(wrapped.command), channel => ({
      announced: announcementOn(channel),
      printed: textOf(channel),
    }))
    return { ...(await running.announced), printed: running.printed }
  }
  const stop = async (announced: Announcement, on = asItIs): Promise<string> => {
    const { command } = stopCommand(announced, 1, undefined)
    const said = await connection.exec(on(command), channel => ({ all: textOf(channel) }))
    return await said.all
  }
  return { begin, stop }
}

function announcementOn(channel: ClientChannel): Promise<Announcement> {
  channel.stderr.resume()
  return new Promise(resolve => {
    const filter = new MarkerFilter(TOKEN, resolve)
    channel.on('data', (bytes: Buffer) => filter.push(bytes))
  })
}

function textOf(channel: ClientChannel): Promise<string> {
  channel.stderr.resume()
  return new Promise(resolve => {
    let text = ''
    channel.on('data', (bytes: Buffer) => {
      text += bytes.toString()
    })
    channel.on('close', () => resolve(text.trim()))
  })
}

t.test('what is stopped is what was announced, and not what has its number now', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const { begin, stop } = await login(t)

  await t.test('by its start in /proc', async t => {
    const announced = await begin('sleep 400')
    t.match(announced.start, /^\d+$/)
    t.equal(await stop({ ...announced, start: '1' }), 'opsc-gone', 'nothing is left of what was announced')
    t.ok(isAlive(announced.pid), 'another process has its number, and keeps running')
    t.equal(await stop(announced), 'opsc-gone')
    t.notOk(isAlive(announced.pid))
  })

  await t.test('by what ps says where there is no /proc', async t => {
    const announced = await begin('sleep 401', withoutProc)
    t.match(announced.start, /^\w{3}_\w{3}_\d+_\d\d:\d\d:\d\d_\d{4}$/)
    t.equal(await stop({ ...announced, start: 'Thu_Jan_1_00:00:01_1970' }, withoutProc), 'opsc-gone')
    t.ok(isAlive(announced.pid))
    const { start: _, ...unknown } = announced
    t.equal(await stop(unknown, withoutProc), 'opsc-gone', 'whoever does not tell its start is believed')
    t.notOk(isAlive(announced.pid))
  })

  await t.test('a group outlives its leader', async t => {
    const announced = await begin('sleep 402 >/dev/null 2>&1 & echo left=$!')
    const left = Number(/left=(\d+)/.exec(await announced.printed)?.[1])
    t.notOk(isAlive(announced.pid), 'its number is still that of the group, and so nobody else can have it')
    t.ok(isAlive(left))
    t.equal(await stop(announced), 'opsc-gone')
    t.notOk(isAlive(left))
  })

  await t.test('a shell without a group of its own is stopped alone, if it is the same', async t => {
    const announced = { ...(await begin('sleep 403')), pgid: 0 }
    t.equal(await stop({ ...announced, start: '1' }), 'opsc-alone')
    t.ok(isAlive(announced.pid))
    t.equal(await stop(announced), 'opsc-alone')
    t.notOk(isAlive(announced.pid))
  })
})
