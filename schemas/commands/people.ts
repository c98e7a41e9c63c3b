import { apiKeyCommands } from '../api-key.ts'
import { breakGlassCommands } from '../break-glass.ts'
import { grantCommands } from '../grant.ts'
import { groupCommands } from '../group.ts'
import { roleCommands } from '../role.ts'
import { serviceAccountCommands } from '../service-account.ts'
import { sessionCommands } from '../session.ts'
import { sodRuleCommands, sodViolationCommands } from '../sod.ts'
import { userCommands } from '../user.ts'
import { exampleId, of } from './spec.ts'

const role = of('role', 'role', roleCommands)
const group = of('group', 'groupId', groupCommands)
const grant = of('grant', 'grantId', grantCommands)
const user = of('user', 'userId', userCommands)
const serviceAccount = of('service-account', 'serviceAccountId', serviceAccountCommands, 'serviceaccount')
const apiKey = of('api-key', 'keyId', apiKeyCommands, 'apikey')
const session = of('session', 'sessionId', sessionCommands)
const sodRule = of('sod', 'rule', sodRuleCommands, 'sodrule')
const sodViolation = of('sod', 'violationId', sodViolationCommands, 'sodviolation')
const breakGlass = of('break-glass', 'breakGlassId', breakGlassCommands, 'breakglass')
const onUser = { userId: exampleId }
const onServiceAccount = { serviceAccountId: exampleId }
const onRole = { role: 'night-shift' }
const inGroup = { groupId: exampleId, member: { kind: 'user', id: exampleId } }

/** Who there is, what they may do, and what is not for one person alone. */
export const peopleCommands = {
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
    { name: 'nightly', description: 'starts what runs at night', owner: { kind: 'user', id: exampleId } },
    true,
  ),
  'transfer-service-account': serviceAccount(
    'transfer-service-account',
    'write',
    'Say who answers for a service account from now on; they get no right to it',
    { ...onServiceAccount, owner: { kind: 'group', id: exampleId }, reason: 'the one who made it has left' },
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
      scopes: [{ kind: 'resource', resource: { kind: 'job', id: exampleId } }],
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
