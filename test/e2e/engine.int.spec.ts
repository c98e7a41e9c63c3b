import { randomUUID } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import type { RunRow } from '../../schemas/run-rows.ts'
import { programOrSkip } from '../support/packages.ts'
import { until } from '../support/process.ts'
import { type Sshd, startSshd } from '../support/sshd.ts'
import { startSystem } from '../support/system.ts'
import { clientOf, type Detail, type SystemClient } from '../support/system-client.ts'

type Body = Record<string, unknown>
type World = { api: SystemClient; sshd: Sshd; folder: string; targets: string[] }

const run = (id: string, command: string, more: Body = {}): Body => ({
  ...{ id, uses: 'ssh.command', with: { command } },
  ...more,
})

async function world(t: Test): Promise<World> {
  const system = startSystem(t, { env: { OPSCONDUCTOR_LEASE_SECONDS: '5' } })
  const [api, sshd] = await Promise.all([clientOf(system), startSshd(t)])
  const credentialId = await api.credential(sshd.privateKey, sshd.username)
  const targets: string[] = []
  for (const name of ['web-1', 'web-2', 'db-1', 'db-2']) {
    const targetId = await api.target(name, { port: sshd.port, credentialId })
    const value = name.replace(/-\d$/, '')
    await api.http.command('tag-target', { targetId, key: 'role', value })
    targets.push(targetId)
  }
  return { api, sshd, folder: t.testdir(), targets }
}

t.test('the run engine, from outside', async t => {
  if (!programOrSkip(t, 'openssh-server')) return
  const { api, folder, targets } = await world(t)
  const ledger = (name: string) => path.join(folder, name)
  const lines = (name: string) =>
    existsSync(ledger(name)) ? readFileSync(ledger(name), 'utf8').split('\n').filter(Boolean) : []
  const define = async (steps: Body[], more: Body = {}) => {
    const jobId = randomUUID()
    await api.http.command('define-job', { jobId, name: `job ${jobId}`, steps, ...more })
    return jobId
  }
  const trigger = async (jobId: string, more: Body = {}) => {
    const runId = randomUUID()
    await api.http.command('trigger-run', { runId, jobId, selection: { targetIds: targets.slice(0, 1) }, ...more })
    return runId
  }
  const statusIs = (runId: string, ...statuses: string[]) =>
    until(`the run is ${statuses}`, async () => {
      const found = await api.http.get<RunRow>(`/v1/runs/${runId}`).catch(() => undefined)
      return found !== undefined && statuses.includes(found.status)
    })
  const outcomes = ({ steps }: Detail) => steps.map(step => `${step.stepId} ${step.attempt} ${step.status}`)

  await t.test('parameters, results, conditions and loops', async t => {
    const out = ledger('flow')
    const jobId = await define(
      [
        run('probe', 'echo version=${{ params.version }}', {
          outputs: { version: { as: 'regex', pattern: 'version=(.*)' } },
        }),
        run('say', `printf '%s\\n' "got \${{ steps.probe.outputs.version }}" >> ${out}`),
        run('each', `printf '%s\\n' \${{ item }} >> ${out}`, { forEach: 'params.names' }),
        run('web-only', `echo web >> ${out}`, { if: 'target.tags.role == "web"' }),
        run('db-only', `echo db >> ${out}`, { on: { labels: 'role=db' } }),
      ],
      {
        parameters: {
          version: { type: 'string', required: true },
          names: { type: 'list', of: 'string', default: ['a b', "it's"] },
        },
      },
    )
    const hostile = `4.2"; echo pwned >> ${out}; $(echo pwned) '`
    const { run: ended, target } = await api.ended(await trigger(jobId, { parameters: { version: hostile } }))
    t.equal(ended.status, 'succeeded', JSON.stringify(target))
    t.same(lines('flow'), [`got ${hostile}`, 'a b', "it's", 'web'])
    const done = ['probe', 'say', 'each.0', 'each.1', 'web-only'].map(id => `${id} 1 succeeded`)
    t.same(outcomes(target).toSorted(), [...done, 'db-only 1 skipped'].toSorted())
    await t.rejects(trigger(jobId), /version/, 'what is required is asked for')
  })

  await t.test('a failed attempt is tried again; what stays failed is undone in reverse, then handled', async t => {
    const jobId = await define(
      [
        run(
          'flaky',
          `n=$(cat ${ledger('tries')} 2>/dev/null | wc -l); echo try >> ${ledger('tries')}; [ "$n" -ge 2 ]`,
          {
            retry: { attempts: 4, delaySeconds: 0.2 },
          },
        ),
        run('one', `echo one >> ${ledger('undo')}`, {
          undo: { uses: 'ssh.command', with: { command: `echo undo one >> ${ledger('undo')}` } },
        }),
        run('two', `echo two >> ${ledger('undo')}`, {
          undo: { uses: 'ssh.command', with: { command: `echo undo two >> ${ledger('undo')}` } },
        }),
        run('break', 'exit 3'),
        run('never', `echo never >> ${ledger('undo')}`),
      ],
      { onFailure: [run('tell', `echo "\${{ failure.stepId }} \${{ failure.class }}" >> ${ledger('undo')}`)] },
    )
    const { run: ended, target } = await api.ended(await trigger(jobId))
    t.match([ended.status, target.failure], ['failed', 'exit-nonzero'])
    t.equal(lines('tries').length, 3)
    t.same(lines('undo'), ['one', 'two', 'undo two', 'undo one', 'break exit-nonzero'])
  })

  await t.test('people are asked once for the whole run, and their word is kept', async t => {
    const jobId = await define([
      run('before', `echo before >> ${ledger('gate')}`),
      { id: 'sign-off', uses: 'approval', with: { prompt: 'Go on?' } },
      { id: 'settle', uses: 'wait.time', with: { seconds: 0.3 } },
      run('after', `echo after >> ${ledger('gate')}`),
    ])
    const runId = await trigger(jobId, { selection: { targetIds: targets.slice(0, 2) } })
    await statusIs(runId, 'awaiting-approval')
    t.same(lines('gate'), ['before', 'before'])
    const [asked] = await api.http.list<{ digest: string }>('/v1/approvals', { runId })
    const digest = asked?.digest
    await api.http.command('grant-approval', { runId, stepId: 'sign-off', digest, reason: 'looks right' })
    const { run: ended } = await api.ended(runId)
    t.equal(ended.status, 'succeeded')
    t.same(lines('gate'), ['before', 'before', 'after', 'after'])
    const denied = await trigger(jobId)
    await statusIs(denied, 'awaiting-approval')
    await api.http.command('deny-approval', { runId: denied, stepId: 'sign-off', reason: 'not today' })
    t.equal((await api.ended(denied)).run.status, 'rejected')
    const again = randomUUID()
    await api.http.command('rerun', { runId: again, of: runId, fromStep: 'after' })
    const { run: later, target } = await api.ended(again)
    t.equal(later.status, 'succeeded', 'nobody is asked once more for what comes before')
    t.same(outcomes(target).toSorted(), ['after 1 succeeded', 'before 1 skipped', 'settle 1 skipped'])
    t.equal(lines('gate').filter(line => line === 'before').length, 3)
    await t.rejects(api.http.command('rerun', { of: denied, fromStep: 'after' }), /approval/)
  })

  await t.test('a run of another job is a step, and its end is the end of the step', async t => {
    const inner = await define([run('inner', `echo "inner \${{ params.who }}" >> ${ledger('nested')}`)], {
      parameters: { who: { type: 'string', required: true } },
    })
    const with_ = { jobId: inner, sameTargets: true, parameters: { who: '${{ params.who }}' } }
    const outer = await define(
      [
        run('first', `echo first >> ${ledger('nested')}`),
        { id: 'nested', uses: 'job.run', with: with_ },
        run('last', `echo last >> ${ledger('nested')}`),
      ],
      { parameters: { who: { type: 'string', default: 'ann' } } },
    )
    const { run: ended } = await api.ended(await trigger(outer))
    t.equal(ended.status, 'succeeded')
    t.same(lines('nested'), ['first', 'inner ann', 'last'])
  })

  await t.test('batches go one after another, and stop when too many failed', async t => {
    const jobId = await define(
      [run('roll', `echo "\${{ target.name }}" >> ${ledger('roll')}; [ "\${{ target.name }}" != web-2 ]`)],
      {
        strategy: { batches: [1, 1, 2], maxFailures: 0 },
      },
    )
    const { run: ended } = await api.ended(await trigger(jobId, { selection: { targetIds: targets } }))
    t.match(ended, { status: 'partially-succeeded', counts: { succeeded: 1, failed: 1, cancelled: 2 } })
    t.same(lines('roll'), ['web-1', 'web-2'])
    const again = randomUUID()
    await api.http.command('rerun', { runId: again, of: ended.runId, only: 'failed' })
    const { run: second } = await api.ended(again)
    t.match(second, { targets: 3, rerunOf: ended.runId, counts: { failed: 1 } }, 'only what had not succeeded')
  })

  await t.test('results of all targets meet at a barrier', async t => {
    const jobId = await define([
      run('name', 'echo "${{ target.name }}"', { outputs: { name: { as: 'text' } } }),
      run('all', `echo "\${{ all.name.outputs.name.size() }}" >> ${ledger('all')}`),
    ])
    const { run: ended, target } = await api.ended(
      await trigger(jobId, { selection: { targetIds: targets.slice(0, 3) } }),
    )
    t.equal(ended.status, 'succeeded', JSON.stringify(target))
    t.same(lines('all'), ['3', '3', '3'])
  })

  await t.test('a paused run begins nothing new; one target and one step can be cancelled by themselves', async t => {
    const go = ledger('go')
    const hold = `while ! [ -e ${go} ]; do sleep 0.05; done; echo held >> ${ledger('held')}`
    const jobId = await define([run('hold', hold), run('next', `echo next >> ${ledger('held')}`)])
    const runId = await trigger(jobId, { selection: { targetIds: targets.slice(0, 2) } })
    await statusIs(runId, 'running')
    const stepRuns = async (n: number) => outcomes(await api.http.get<Detail>(`/v1/runs/${runId}/target-runs/${n}`))
    await until('both hold', async () => (await stepRuns(0)).length > 0 && (await stepRuns(1)).length > 0)
    await api.http.command('pause-run', { runId, reason: 'lunch' })
    await api.http.command('cancel-target-run', { runId, n: 1, reason: 'not this one' })
    await until(
      'one target is cancelled',
      async () => (await api.http.get<Detail>(`/v1/runs/${runId}/target-runs/1`)).status === 'cancelled',
    )
    writeFileSync(go, '')
    await until('the step that ran is over', async () => (await stepRuns(0))[0] === 'hold 1 succeeded')
    t.equal((await api.http.get<RunRow>(`/v1/runs/${runId}`)).status, 'paused')
    await api.http.command('resume-run', { runId })
    const { run: ended } = await api.ended(runId)
    t.match(ended, {
      status: 'cancelled' === ended.status ? 'cancelled' : 'partially-succeeded',
      counts: { succeeded: 1, cancelled: 1 },
    })
    t.same(lines('held'), ['held', 'next'])
    const long = await trigger(await define([run('long', 'sleep 300', { continueOnError: true }), run('end', 'true')]))
    await until('the step runs', async () => {
      const detail = await api.http.get<Detail>(`/v1/runs/${long}/target-runs/0`).catch(() => undefined)
      return detail?.steps.some(step => step.status === 'running') ?? false
    })
    await api.http.command('cancel-step', { runId: long, n: 0, stepId: 'long', reason: 'too long' })
    const { run: went, target } = await api.ended(long)
    t.equal(went.status, 'succeeded')
    t.match(target.steps[0], { stepId: 'long', status: 'failed', failure: 'cancelled' })
  })

  await t.test('two runs do not meet on one target, and a job may refuse to overlap', async t => {
    const once = `mkdir ${ledger('alone')} && sleep 0.3 && rmdir ${ledger('alone')}`
    const jobId = await define([run('alone', once)])
    const both = await Promise.all([trigger(jobId), trigger(jobId)])
    for (const runId of both) t.equal((await api.ended(runId)).run.status, 'succeeded')
    const shy = await define([run('slow', 'sleep 0.5')], { overlap: 'skip', access: 'shared' })
    const [first, second] = [await trigger(shy), await trigger(shy)]
    t.equal((await api.ended(second)).run.status, 'rejected')
    t.equal((await api.ended(first)).run.status, 'succeeded')
  })

  await t.test('time limits end what takes too long', async t => {
    const jobId = await define([run('slow', 'sleep 300')], { timeouts: { runSeconds: 1 } })
    const { run: ended } = await api.ended(await trigger(jobId))
    t.equal(ended.status, 'timed-out')
    const target = await api.ended(
      await trigger(await define([run('slow', 'sleep 300')], { timeouts: { targetRunSeconds: 1 } })),
    )
    t.match([target.run.status, target.target.failure], ['failed', 'timed-out'])
    const silent = await define([run('mute', 'sleep 300', { silenceSeconds: 1 })])
    t.match((await api.ended(await trigger(silent))).target, { status: 'failed', failure: 'timed-out' })
  })

  await t.test('a job that makes no sense is refused with every reason', async t => {
    const steps = [
      run('a', 'echo ${{ params.missing }}', { needs: ['b'] }),
      run('b', "echo '${{ target.name }}'", { needs: ['a'] }),
    ]
    await t.rejects(define(steps), /circle/)
  })
})
