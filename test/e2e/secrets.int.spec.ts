import { randomBytes, randomUUID } from 'node:crypto'
import t from 'tap'
import { sha256Hex } from '../../infra/ids.ts'
import { programOrSkip } from '../support/packages.ts'
import { overhearing, rowsOf } from '../support/places.ts'
import { startSshd } from '../support/sshd.ts'
import { startSystem } from '../support/system.ts'
import { clientOf, type SystemClient } from '../support/system-client.ts'
import { contentOf, finds } from '../support/traces.ts'

const canary = () => `canary-${randomBytes(12).toString('hex')}-ÄÖ"'\\`

/** A job that runs the other one with the secret it was given itself. */
async function nested({ http }: SystemClient, jobId: string): Promise<string> {
  const outer = randomUUID()
  const given = { jobId, sameTargets: true, parameters: { token: '${{ params.token }}' } }
  const parameters = { token: { type: 'secret', required: true } }
  await http.command('define-job', {
    ...{ jobId: outer, name: 'outer', parameters, steps: [{ id: 'inner', uses: 'job.run', with: given }] },
  })
  return outer
}

t.test('a secret parameter reaches the command that reads it, and no other place', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const { url, heard } = await overhearing(t)
  const system = startSystem(t, { env: { OPSCONDUCTOR_NATS_URL: url } })
  const [api, sshd] = await Promise.all([clientOf(system), startSshd(t)])
  const login = await api.credential(sshd.privateKey, sshd.username)
  const targetId = await api.target('web-1', { port: sshd.port, credentialId: login })
  const [first, second] = [canary(), canary()]
  const secretId = randomUUID()
  const holding = (password: string) => ({ credentialId: secretId, secret: { kind: 'password', password } })
  await api.http.command('create-credential', { ...holding(first), name: 'registry', username: 'registry' })
  const jobId = randomUUID()
  const tell = 's=$(cat); printf %s "$s" | sha256sum; echo "as it is: $s"; printf %s "$s" | base64 -w0 >&2'
  await api.http.command('define-job', {
    ...{ jobId, name: 'log in', parameters: { token: { type: 'secret', required: true } } },
    steps: [
      { id: 'before', uses: 'ssh.command', with: { command: 'true' } },
      { id: 'login', uses: 'ssh.command', with: { command: tell, stdin: '${{ params.token }}' } },
    ],
  })
  const trigger = async (of: string = jobId) => {
    const runId = randomUUID()
    const parameters = { token: secretId }
    await api.http.command('trigger-run', { runId, jobId: of, parameters, selection: { targetIds: [targetId] } })
    return runId
  }
  const printedBy = async (runId: string) => {
    let printed = ''
    await api.follow(runId, text => {
      printed += text
    })
    t.match((await api.ended(runId)).run, { status: 'succeeded' })
    return printed
  }

  const runId = await trigger()
  let output = await printedBy(runId)
  t.match(output, sha256Hex(first), 'the command has read it')
  t.match(output, 'as it is: ******')
  await api.http.command('add-credential-version', holding(second))
  const again = await printedBy(await trigger())
  t.match(again, sha256Hex(second), 'the newest version at the time of the claim')
  output += again
  const outer = await trigger(await nested(api, jobId))
  t.equal((await api.ended(outer)).run.status, 'succeeded')
  const below = await api.http.get<{ items: Array<{ runId: string }> }>(`/v1/runs?parent=${outer}`)
  t.match(await printedBy(below.items[0]?.runId ?? ''), sha256Hex(second), 'a job hands it on to another')
  const { items } = await api.http.get<{ items: Array<{ position: string }> }>(
    `/v1/audit?type=CredentialReleased&runId=${runId}`,
  )
  const released = items.map(({ position }) => api.http.get<{ data: object }>(`/v1/audit/${position}`))
  const [forStep, forLogin] = (await Promise.all(released)).map(({ data }) => data)
  t.match(forStep, { credentialId: secretId, version: 1, stepId: 'login' }, 'the log tells what for')
  t.match(forLogin, { credentialId: login })
  await api.http.command('revoke-credential', { credentialId: secretId, reason: 'leaked' })
  await t.rejects(trigger(), /revoked/)

  const { postgresUrl = '' } = system.runtime()
  const places: Record<string, string> = {
    'what the processes print': system.output(),
    'the broker': heard.join('\n'),
    'files of log, database and executor': contentOf(system.dataDir),
    'rows of the database': await rowsOf(postgresUrl),
  }
  for (const [place, content] of Object.entries(places)) {
    t.match(content, /OpsConductor is ready|CredentialReleased|succeed-step/, `${place}: the right one is looked at`)
    for (const secret of [first, second]) t.notOk(finds(content, secret), `${place}: no trace of the secret`)
  }
  for (const secret of [first, second]) t.notOk(finds(output, secret), 'output: no trace of the secret')
})
