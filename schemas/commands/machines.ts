import { credentialCommands } from '../credential.ts'
import { executorCommands } from '../executor.ts'
import { jobCommands } from '../job.ts'
import { runCommands } from '../run.ts'
import { targetCommands } from '../target.ts'
import { targetRunPublicCommands } from '../target-run.ts'
import { exampleId, of } from './spec.ts'

const exampleHostKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKQ0EJrq7Vb9sVZ1rWkCQpP9y0y0rj0w4E8rM7mD5Jb3'
const steps = [{ id: 'uptime', uses: 'ssh.command', with: { command: 'uptime' } }]
const target = of('target', 'targetId', targetCommands)
const credential = of('credential', 'credentialId', credentialCommands)
const job = of('job', 'jobId', jobCommands)
const run = of('run', 'runId', runCommands)
const targetRun = of('run', 'runId', targetRunPublicCommands, 'targetrun')
const executor = of('executor', 'executorId', executorCommands)
const onExecutor = { executorId: 'east-1' }
const onTarget = { targetId: exampleId }
const onJob = { jobId: exampleId }
const onRun = { runId: exampleId }
const onTargetRun = { ...onRun, n: 3 }
const password = { kind: 'password', password: 'correct horse battery staple' }

/** Targets, credentials, jobs, runs and executors. */
export const machineCommands = {
  'create-target': target(
    'create-target',
    'write',
    'Register a machine to act upon',
    { name: 'web-1', address: 'web-1.example.org', tags: { env: 'prod', role: 'web' }, credentialId: exampleId },
    true,
  ),
  'rename-target': target('rename-target', 'write', 'Give a target another name', { ...onTarget, name: 'web-01' }),
  'change-target-address': target(
    'change-target-address',
    'write',
    'Change where a target is reached; an observed host key is forgotten, a pinned one stays',
    { ...onTarget, address: '192.0.2.10', port: 22 },
  ),
  'tag-target': target('tag-target', 'write', 'Set a tag on a target', { ...onTarget, key: 'env', value: 'prod' }),
  'untag-target': target('untag-target', 'write', 'Remove a tag from a target', { ...onTarget, key: 'env' }),
  'pin-host-key': target('pin-host-key', 'write', 'Accept exactly this host key from now on', {
    ...onTarget,
    hostKey: exampleHostKey,
  }),
  'assign-credential': target('assign-credential', 'write', 'Log in to the target with this credential', {
    ...onTarget,
    credentialId: exampleId,
  }),
  'decommission-target': target(
    'decommission-target',
    'write',
    'Take a target out of use; no run selects it any more',
    { ...onTarget, reason: 'replaced by web-2' },
  ),
  'reinstate-target': target('reinstate-target', 'write', 'Take a decommissioned target back into use', {
    ...onTarget,
    reason: 'repaired',
  }),
  'create-credential': credential(
    'create-credential',
    'write',
    'Store a secret in the vault; it can be used, never read back',
    { name: 'deploy', username: 'deploy', secret: password },
    true,
  ),
  'add-credential-version': credential(
    'add-credential-version',
    'write',
    'Replace the secret of a credential; runs from now on use the new version',
    { credentialId: exampleId, secret: password, reason: 'yearly rotation' },
  ),
  'revoke-credential': credential('revoke-credential', 'write', 'Never release this credential again', {
    credentialId: exampleId,
    reason: 'leaked',
  }),
  'define-job': job(
    'define-job',
    'write',
    'Define a job and publish its version 1, enabled',
    { name: 'uptime', steps, selection: { labels: 'env=prod' } },
    true,
  ),
  'publish-job-version': job('publish-job-version', 'write', 'Publish the next immutable version of a job', {
    ...onJob,
    steps,
    selection: { labels: 'env=prod' },
    reason: 'also on staging',
  }),
  'enable-job': job('enable-job', 'write', 'Let a disabled job run again', onJob),
  'disable-job': job('disable-job', 'write', 'Refuse new runs of a job', { ...onJob, reason: 'under review' }),
  'archive-job': job('archive-job', 'write', 'Retire a job for good; its history stays', {
    ...onJob,
    reason: 'obsolete',
  }),
  'trigger-run': run(
    'trigger-run',
    'trigger',
    'Run a job on targets now; with mode plan, show what would happen and do nothing',
    { ...onJob, selection: { labels: 'env=prod,role=web' }, parameters: { version: '1.4.2' }, reason: 'monthly check' },
    true,
  ),
  rerun: run(
    'rerun',
    'trigger',
    'Run the same job version with the same parameters again, on all targets of a run or those that did not succeed; mode plan as in trigger-run',
    { of: exampleId, only: 'failed', fromStep: 'restart', reason: 'the mirror is back' },
    true,
  ),
  'cancel-run': run('cancel-run', 'cancel', 'Stop a run: nothing new starts, what runs is killed on its machine', {
    ...onRun,
    reason: 'wrong target',
  }),
  'pause-run': run('pause-run', 'cancel', 'Hold a run up: steps that run go on to their end, nothing new starts', {
    ...onRun,
    reason: 'customers are affected',
  }),
  'resume-run': run('resume-run', 'cancel', 'Let a paused run go on', onRun),
  'grant-approval': run('grant-approval', 'approve', 'Say yes to what a run asks approval for', {
    ...onRun,
    stepId: 'go-live',
    reason: 'staging looks good',
  }),
  'delegate-approval': run(
    'delegate-approval',
    'approve',
    'Leave an approval that is asked of you to somebody else who may give it',
    { ...onRun, stepId: 'sign-off', to: { kind: 'user', id: exampleId }, reason: 'on leave today' },
  ),
  'deny-approval': run('deny-approval', 'approve', 'Say no to what a run asks approval for; the run is rejected', {
    ...onRun,
    stepId: 'go-live',
    reason: 'not on a Friday',
  }),
  'cancel-target-run': targetRun('cancel-target-run', 'cancel', 'Stop a run on one of its targets; the others go on', {
    ...onTargetRun,
    reason: 'that machine is in use',
  }),
  'cancel-step': targetRun('cancel-step', 'cancel', 'Stop the step that runs on one target; it counts as failed', {
    ...onTargetRun,
    stepId: 'restart',
    reason: 'it hangs',
  }),
  'resolve-step': targetRun(
    'resolve-step',
    'resolve',
    'Say what became of a step of which nobody knows whether it took effect',
    { ...onTargetRun, stepId: 'restart', as: 'succeeded', reason: 'the service log shows the restart' },
  ),
  'create-enrolment-token': executor(
    'create-enrolment-token',
    'enrol',
    'Let an executor of this name come in, once, with a token that is shown in this answer and never again',
    { ...onExecutor, pool: 'east', labels: { site: 'east' }, expiresSeconds: 3600 },
  ),
  'revoke-executor': executor(
    'revoke-executor',
    'revoke',
    'Trust an executor no more: its claims end at once, it gets no work and no secrets, its reports are refused',
    { ...onExecutor, reason: 'the machine was stolen' },
  ),
  'drain-executor': executor('drain-executor', 'write', 'Give an executor no new work; what it has in hand goes on', {
    ...onExecutor,
    reason: 'kernel update',
  }),
  'resume-executor': executor('resume-executor', 'write', 'Give a drained executor work again', onExecutor),
  'set-executor-labels': executor('set-executor-labels', 'write', 'Say what an executor is labelled with', {
    ...onExecutor,
    labels: { site: 'east', zone: 'b' },
  }),
  'move-executor-to-pool': executor(
    'move-executor-to-pool',
    'write',
    'Let an executor take its work from another pool',
    {
      ...onExecutor,
      pool: 'west',
    },
  ),
}
