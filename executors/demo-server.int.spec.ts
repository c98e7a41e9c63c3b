import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import t from 'tap'
import { startOwnServer } from './demo/own-server.ts'
import { Limit } from './limit.ts'
import { remoteCommand } from './remote/command.ts'
import { connectSsh } from './ssh/connection.ts'
import { newKeyPair } from './ssh/key-pair.ts'
import { RemoteProcess } from './ssh/remote-process.ts'

type Place = { address: string; port: number; username: string; hostKey: string; privateKey: string }

async function run(at: Place, command: string) {
  const connection = await connectSsh({
    ...at,
    ...{ knownHostKey: at.hostKey, handshakes: new Limit(1), signal: AbortSignal.timeout(10_000) },
    verifyHostKey: async presented => void t.equal(presented, at.hostKey),
    secret: async () => ({ kind: 'ssh-key', privateKey: at.privateKey }),
  })
  const remote = remoteCommand({ command, variables: {}, stdin: '', sudo: undefined }, 'opsc-token')
  let text = ''
  const output = {
    push: (_stream: string, bytes: Buffer) => {
      text += bytes
    },
    isBacklogged: () => false,
    onRelief: () => undefined,
  }
  const process = await connection.exec(remote.command, channel => new RemoteProcess(channel, remote, output))
  process.feed()
  const end = await process.ended
  const announced = await process.announcement(0)
  connection.end()
  return { end, text, announced }
}

t.test('serves until its input ends, and leaves nothing', async t => {
  const entry = new URL('../opsconductor.js', import.meta.url).pathname
  const child = spawn(process.execPath, [entry, 'demo-ssh-server'], { stdio: ['pipe', 'pipe', 'inherit'] })
  const [line] = await once(createInterface({ input: child.stdout }), 'line')
  const { hosts, port, username, hostKey, privateKeyFile } = JSON.parse(line)
  const privateKey = readFileSync(privateKeyFile, 'utf8')
  for (const address of [hosts[0], hosts.at(-1)]) {
    const { end, text } = await run({ address, port, username, hostKey, privateKey }, 'echo out; echo err >&2; exit 3')
    t.same(end, { kind: 'exited', exitCode: 3 })
    t.match(text, /out/)
    t.match(text, /err/)
  }
  child.stdin.end()
  t.same(await once(child, 'exit'), [0, null])
  t.notOk(existsSync(privateKeyFile))
})

t.test('the server for machines without OpenSSH', async t => {
  const key = () => {
    const pair = newKeyPair()
    return { private: pair.private, public: pair.public.split(' ').slice(0, 2).join(' ') }
  }
  const keys = { username: 'demo', host: key(), user: key() }
  const server = await startOwnServer(['127.0.0.1'], keys)
  t.teardown(() => server.stop())
  const at = { address: '127.0.0.1', port: server.port, username: 'demo', hostKey: keys.host.public }
  const { end, text, announced } = await run({ ...at, privateKey: keys.user.private }, 'cat; echo $0; kill -TERM $$')
  t.same(end, { kind: 'signalled', signal: 'SIGTERM' })
  t.equal(text, '/bin/sh\n')
  t.ok(announced && announced.pgid > 1 && announced.pgid === announced.pid, 'with a process group of its own')
  await t.rejects(run({ ...at, privateKey: key().private }, 'true'), /not let in/)
  await t.rejects(run({ ...at, username: 'other', privateKey: keys.user.private }, 'true'), /not let in/)
})
