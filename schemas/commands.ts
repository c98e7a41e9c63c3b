import { z } from 'zod'
import { apiKeyCommands } from './api-key.ts'
import { breakGlassCommands } from './break-glass.ts'
import { credentialCommands } from './credential.ts'
import { streams } from './events.ts'
import { executorCommands } from './executor.ts'
import { grantCommands } from './grant.ts'
import { groupCommands } from './group.ts'
import { jobCommands } from './job.ts'
import { id, reason } from './kernel.ts'
import type { Permission } from './permissions.ts'
import { roleCommands } from './role.ts'
import { runCommands } from './run.ts'
import { runStatus } from './run-rows.ts'
import { serviceAccountCommands } from './service-account.ts'
import { sessionCommands } from './session.ts'
import { sodRuleCommands, sodViolationCommands } from './sod.ts'
import { targetCommands } from './target.ts'
import { targetRunPublicCommands } from './target-run.ts'
import { userCommands } from './user.ts'

export type Category =
  | ('target' | 'credential' | 'job' | 'run' | 'executor')
  | ('role' | 'group' | 'grant')
  | ('user' | 'service-account' | 'api-key' | 'session')
  | ('sod' | 'break-glass')

/** A command offered over HTTP: what the route, the API description and the permission check are generated from. */
export type CommandSpec = {
  /** What it is listed under, and what its permission is about. */
  category: Category
  /** Which kind of stream it is decided on. */
  decides:
    | Exclude<Category, 'service-account' | 'api-key' | 'sod' | 'break-glass'>
    | ('targetrun' | 'serviceaccount' | 'apikey')
    | ('sodrule' | 'sodviolation' | 'breakglass')
  idField: string
  /** Creates its resource: the id may be left out and is then minted. */
  creates: boolean
  permission: Permission
  summary: string
  schema: z.ZodType
  example: Record<string, unknown>
}

/** What can be permitted on things of a category. */
type PermissionOf<C extends Category> = Permission extends infer P
  ? P extends `${C}:${infer What}`
    ? What
    : never
  : never

const exampleId = '0192d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d'
const exampleHostKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKQ0EJrq7Vb9sVZ1rWkCQpP9y0y0rj0w4E8rM7mD5Jb3'
const steps = [{ id: 'uptime', uses: 'ssh.command', with: { command: 'uptime' } }]

const of =
  <C extends Category, M extends Record<string, z.ZodType>>(
    category: C,
    idField: string,
    schemas: M,
    // Where it is left out, the category is that of a stream too.
    decides = category as CommandSpec['decides'],
  ) =>
  (
    name: keyof M & string,
    permission: PermissionOf<C>,
    summary: string,
    example: Record<string, unknown>,
    creates = false,
  ): CommandSpec => {
    const schema = schemas[name]
    if (!schema) throw new Error(`no schema for ${name}`)
    // A template of two known parts that is in the closed list.
    const needed = `${category}:${permission}` as Permission
    return { category, decides, idField, creates, permission: needed, summary, schema, example }
  }

const target = of('target', 'targetId', targetCommands)
const credential = of('credential', 'credentialId', credentialCommands)
const job = of('job', 'jobId', jobCommands)
const run = of('run', 'runId', runCommands)
const targetRun = of('run', 'runId', targetRunPublicCommands, 'targetrun')
const executor = of('executor', 'executorId', executorCommands)
const role = of('role', 'role', roleCommands)
const group = of('group', 'groupId', groupCommands)
const grant = of('grant', 'grantId', grantCommands)
const user = of('user', 'userId', userCommands)
const serviceAccount = of('service-account', 'serviceAccountId', serviceAccountCommands, 'serviceaccount')
const apiKey = of('api-key', 'keyId', apiKeyCommands, 'apikey')
const session = of('session', 'sessionId', sessionCommands)
const onUser = { userId: exampleId }
const onServiceAccount = { serviceAccountId: exampleId }
const sodRule = of('sod', 'rule', sodRuleCommands, 'sodrule')
const sodViolation = of('sod', 'violationId', sodViolationCommands, 'sodviolation')
const breakGlass = of('break-glass', 'breakGlassId', breakGlassCommands, 'breakglass')
const onRole = { role: 'night-shift' }
const inGroup = { groupId: exampleId, member: { kind: 'user', id: exampleId } }
const onExecutor = { executorId: 'east-1' }
const onTarget = { targetId: exampleId }
const onJob = { jobId: exampleId }
const onRun = { runId: exampleId }
const onTargetRun = { ...onRun, n: 3 }
const password = { kind: 'password', password: 'correct horse battery staple' }

/** Every command of the public API, by name. Adding one: its schema, its line here, its case in the decider. */
export const commands: Readonly<Record<string, CommandSpec>> = {
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
  'define-role': role(
    'define-role',
    'write',
    'Name a set of permissions, each of which whoever does it must hold',
    { ...onRole, description: 'Watches and restarts at night', permissions: ['run:read', 'run:trigger'] },
    true,
  ),
  'change-role': role('change-role', 'write', 'Say anew which permissions a role has, for everybody who has it', {
    ...onRole,
    permissions: ['run:read', 'run:trigger', 'run:cancel'],
    reason: 'they have to stop runs too',
  }),
  'retire-role': role('retire-role', 'write', 'Take a role out of use: its grants give nothing any more', {
    ...onRole,
    reason: 'there is no night shift',
  }),
  'create-group': group(
    'create-group',
    'write',
    'Name a group of users and service accounts, to grant roles to',
    { name: 'web operators', description: 'On call for the shop' },
    true,
  ),
  'add-to-group': group(
    'add-to-group',
    'write',
    'Put somebody into a group; needs the right to grant what the group has',
    { ...inGroup, reason: 'joined the team' },
  ),
  'remove-from-group': group('remove-from-group', 'write', 'Take somebody out of a group', {
    ...inGroup,
    reason: 'left the team',
  }),
  'grant-role': grant(
    'grant-role',
    'write',
    'Give a role to a user, service account, group or API key, on everything, on targets by their tags, or on one thing',
    {
      principal: { kind: 'user', id: exampleId },
      role: 'operator',
      scope: { kind: 'labels', labels: 'env=prod' },
      expiresAt: '2030-01-31T18:00:00.000Z',
      reason: 'on call in January',
    },
    true,
  ),
  'revoke-role': grant('revoke-role', 'write', 'Take back what was granted, at once', {
    grantId: exampleId,
    reason: 'left the team',
  }),
  'create-user': user(
    'create-user',
    'write',
    'Invite somebody: a link that is shown in this answer, once, lets them set their passphrase',
    { loginName: 'ann@example.org', displayName: 'Ann Example', email: 'ann@example.org' },
    true,
  ),
  'change-user-profile': user('change-user-profile', 'write', 'Change login name, name or address of a user', {
    ...onUser,
    displayName: 'Ann Sample',
  }),
  'create-reset-link': user(
    'create-reset-link',
    'write',
    'Let a user set a new passphrase by a link that is shown in this answer, once',
    { ...onUser, reason: 'forgot it' },
  ),
  'require-passphrase-change': user(
    'require-passphrase-change',
    'write',
    'Let a user in only after choosing a new passphrase',
    { ...onUser, reason: 'seen on a screen' },
  ),
  'unlock-user': user('unlock-user', 'write', 'Let a user try again at once after too many failed attempts', {
    ...onUser,
    reason: 'called us',
  }),
  'remove-second-factors': user(
    'remove-second-factors',
    'write',
    'Take away the second factors of somebody who has lost theirs; their sessions end',
    { ...onUser, reason: 'telephone lost' },
  ),
  'deactivate-user': user('deactivate-user', 'write', 'Let a user in no more: sessions and API keys stop at once', {
    ...onUser,
    reason: 'left the company',
  }),
  'reactivate-user': user('reactivate-user', 'write', 'Let a deactivated user in again', {
    ...onUser,
    reason: 'came back',
  }),
  'place-legal-hold': user(
    'place-legal-hold',
    'write',
    'Keep the personal data of a user, whoever asks for its erasure',
    {
      ...onUser,
      reason: 'case 4711',
    },
  ),
  'release-legal-hold': user(
    'release-legal-hold',
    'write',
    'End a legal hold; an erasure that waited for it follows at once',
    { ...onUser, reason: 'case closed' },
  ),
  'erase-personal-data': user(
    'erase-personal-data',
    'write',
    'Destroy the key of a user’s personal data, for good; a legal hold defers it',
    { ...onUser, reason: 'asked for it' },
  ),
  'create-service-account': serviceAccount(
    'create-service-account',
    'write',
    'Let a program act in its own right, by API keys',
    { name: 'nightly', description: 'starts what runs at night' },
    true,
  ),
  'disable-service-account': serviceAccount(
    'disable-service-account',
    'write',
    'Let a service account act no more: its API keys stop at once',
    { ...onServiceAccount, reason: 'replaced' },
  ),
  'enable-service-account': serviceAccount('enable-service-account', 'write', 'Let a service account act again', {
    ...onServiceAccount,
    reason: 'needed again',
  }),
  'issue-api-key': apiKey(
    'issue-api-key',
    'write',
    'Issue an API key of a user or a service account; it is shown in this answer and never again',
    {
      name: 'nightly',
      owner: { kind: 'service-account', id: exampleId },
      permissions: ['run:trigger', 'run:read'],
      expiresSeconds: 7_776_000,
    },
    true,
  ),
  'revoke-api-key': apiKey('revoke-api-key', 'write', 'Let an API key in no more', {
    keyId: exampleId,
    reason: 'leaked',
  }),
  'revoke-session': session('revoke-session', 'revoke', 'End a session of somebody', {
    sessionId: exampleId,
    reason: 'laptop stolen',
  }),
  'define-sod-rule': sodRule(
    'define-sod-rule',
    'write',
    'Name two duties or two acts that are not for the same person',
    {
      ...{ rule: 'author-runner', mode: 'justify', conflict: { kind: 'acts', before: 'author', now: 'requester' } },
      targets: 'env=prod',
    },
    true,
  ),
  'change-sod-rule': sodRule('change-sod-rule', 'write', 'Change what a rule does, or where it holds', {
    rule: 'author-approver',
    mode: 'detect',
    reason: 'there are two of us this week',
  }),
  'retire-sod-rule': sodRule('retire-sod-rule', 'write', 'Take a rule out of use, also a built-in one', {
    rule: 'author-runner',
    reason: 'all runs are approved now',
  }),
  'waive-sod-violation': sodViolation(
    'waive-sod-violation',
    'waive',
    'Let somebody do what a rule has against them, for a time',
    { violationId: exampleId, until: '2030-01-31T18:00:00.000Z', reason: 'nobody else is there in January' },
  ),
  'activate-break-glass': breakGlass(
    'activate-break-glass',
    'activate',
    'Take all rights for a short time; it is told at once and looked at afterwards',
    { reason: 'the shop is down and nobody with the rights is there', ticket: 'INC-4711', minutes: 30 },
    true,
  ),
  'end-break-glass': breakGlass('end-break-glass', 'end', 'Give the emergency rights back before their time', {
    breakGlassId: exampleId,
    reason: 'the shop is up again',
  }),
  'review-break-glass': breakGlass('review-break-glass', 'review', 'Say whether the emergency was one', {
    ...{ breakGlassId: exampleId, verdict: 'justified' },
    reason: 'read what was done: only the restart',
  }),
}

/** The stream a command is decided on, once the id of its resource is known. */
export function commandStream({ decides, idField }: CommandSpec, data: Record<string, unknown>): string {
  const resource = String(data[idField])
  return decides === 'targetrun' ? streams.targetRun(resource, Number(data.n)) : `${decides}-${resource}`
}

const unfinished = runStatus.extract([
  'queued',
  'awaiting-approval',
  'running',
  'paused',
  'cancelling',
  'needs-attention',
])
/** Which of the runs that have not ended; those that fit everything given. */
export const cancelRuns = z.strictObject({
  jobId: id.optional(),
  status: z.array(unfinished).min(1).max(6).optional(),
  /** Id of who, or what schedule, asked for the run. */
  initiator: z.string().min(1).max(120).optional(),
  reason: reason.optional(),
})
export type CancelRuns = z.output<typeof cancelRuns>

/** Commands about every resource that fits a filter: one answer for each of them. */
export const filterCommands = {
  'cancel-runs': {
    category: 'run',
    permission: 'run:cancel',
    summary: 'Stop every run that has not ended and fits the filter',
    schema: cancelRuns,
    example: { jobId: exampleId, status: ['queued', 'running'], reason: 'wrong version released' },
  },
} as const

/** Runs are worked on from `opsconductor` too, so permissions are a closed list derived from the commands. */
export const commandPermissions: ReadonlySet<string> = new Set(Object.values(commands).map(c => c.permission))
