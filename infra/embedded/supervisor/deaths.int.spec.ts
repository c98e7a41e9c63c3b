import t from 'tap'
import { until } from '../../../test/support/process.ts'
import { startSystem } from '../../../test/support/system.ts'

t.test('the whole system outlives the death of each of its parts', async t => {
  const system = startSystem(t)
  await system.printed(/OpsConductor is ready/)
  const { url = '', roles: before } = system.runtime()
  const [key = ''] = /opsc_\w+_[\w-]{43}/.exec(system.output()) ?? []
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
  const create = (name: string) => {
    const body = JSON.stringify({ name, address: '192.0.2.1', platform: 'linux' })
    return fetch(`${url}/v1/commands/create-target`, { method: 'POST', headers, body })
  }
  const listed = async (position: string) => {
    const answer = await fetch(`${url}/v1/targets?minPosition=${encodeURIComponent(position)}`, { headers })
    return answer.status
  }
  t.equal((await fetch(`${url}/v1/targets`)).status, 401, 'nothing without a key')

  const parts = ['event-store-node', 'postgres', 'broker', 'vault', 'workers', 'executor', 'api'] as const
  for (const part of parts) {
    process.kill(before[part]?.pid ?? 0, 'SIGKILL')
    await until(`${part} is back`, () => system.runtime().roles[part]?.restarts === 1)
    // A connection that was kept may turn out to have been of the one that died.
    await until('the API is ready', () =>
      fetch(`${url}/health/ready`).then(
        answer => answer.ok,
        () => false,
      ),
    )
    const answer = await create(`after-${part}`)
    t.equal(answer.status, 201, `a command is accepted after ${part} was killed`)
    const { position } = JSON.parse(await answer.text())
    await until('it can be read', async () => (await listed(position)) === 200)
  }
  const after = system.runtime()
  t.equal(after.url, url, 'the API is where it was')
  for (const part of parts) t.equal(after.roles[part]?.restarts, 1, `${part} was restarted once, for its own sake`)
  system.child.kill('SIGTERM')
  t.equal((await system.ended).code, 0)
})
