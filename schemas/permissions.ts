/** Everything that can be permitted, as a closed list: what routes, commands and roles name must be in it. */
export const permissions = {
  'self:read': 'See who one is and what one may do',
  'self:write': 'Change what is one’s own: sessions, keys, factors of sign-in',
  'target:read': 'See targets',
  'target:write': 'Register and change targets',
  'target:use': 'Let a run work on a target',
  'credential:read': 'See credentials, never their secrets',
  'credential:write': 'Store, replace and revoke credentials',
  'credential:oversee': 'See the personal credentials of others, and with credential:write revoke them',
  'credential:use': 'Let a run, a job or a target use a credential',
  'job:read': 'See jobs',
  'job:write': 'Define and change jobs',
  'run:read': 'See runs and what they printed',
  'run:trigger': 'Run a job',
  'run:cancel': 'Cancel, pause and resume runs',
  'run:approve': 'Say yes or no to what a run asks approval for',
  'run:resolve': 'Say what became of a step of which nobody knows',
  'executor:read': 'See executors',
  'executor:write': 'Drain, label and move executors',
  'executor:enrol': 'Let an executor come in',
  'executor:revoke': 'Trust an executor no more',
  'artifact:read': 'Download stored files',
  'artifact:write': 'Upload files',
  'audit:read': 'See everything that happened',
  'status:read': 'See how the system is',
  'command:send': 'Send many commands in one request',
  'user:read': 'See users, without their personal data',
  'user:write': 'Invite, change and deactivate users',
  'service-account:read': 'See service accounts',
  'service-account:write': 'Create and disable service accounts',
  'api-key:read': 'See the API keys of others',
  'api-key:write': 'Issue and revoke the API keys of others',
  'session:read': 'See the sessions of others',
  'session:revoke': 'End the sessions of others',
  'role:read': 'See roles',
  'role:write': 'Define and change roles',
  'group:read': 'See groups',
  'group:write': 'Create groups and say who is in them',
  'grant:read': 'See who was granted what',
  'grant:write': 'Grant and revoke roles, of what one holds oneself',
  'grant:any': 'Grant also what one does not hold oneself',
  'sod:read': 'See the rules of segregation of duties and what went against them',
  'sod:write': 'Define and change the rules of segregation of duties',
  'sod:waive': 'Waive for a time what a rule has against somebody',
  'break-glass:read': 'See who took all rights in an emergency',
  'break-glass:activate': 'Take all rights for a short time in an emergency',
  'break-glass:end': 'End the emergency rights of somebody',
  'break-glass:review': 'Say whether the emergency was one',
  'access:read': 'Ask what others may do, and why',
} as const satisfies Record<string, string>

export type Permission = keyof typeof permissions
// The keys of an object that is written out above.
export const permissionNames = Object.keys(permissions) as readonly Permission[]
export const isPermission = (name: string): name is Permission => Object.hasOwn(permissions, name)

/** What every active principal may do with itself, without any grant. */
export const ofEverybody: ReadonlySet<string> = new Set<Permission>(['self:read', 'self:write'])

/** Not about any one thing: a grant on any scope gives it. */
export const aboutNothing: ReadonlySet<string> = new Set<Permission>(['status:read', 'command:send', 'artifact:write'])

const reads: readonly Permission[] = [
  'target:read',
  'job:read',
  'run:read',
  'executor:read',
  'artifact:read',
  'status:read',
]
const peopleReads: readonly Permission[] = [
  'user:read',
  'service-account:read',
  'api-key:read',
  'session:read',
  'role:read',
  'group:read',
  'grant:read',
  'access:read',
  'sod:read',
  'break-glass:read',
]

type BuiltInRole = { description: string; permissions: readonly Permission[] }

/** Roles that are always there and cannot be changed. */
export const builtInRoles = {
  viewer: { description: 'Sees targets, jobs, runs and what they print', permissions: reads },
  operator: {
    description: 'Runs jobs and stops runs',
    permissions: [
      ...reads,
      'credential:read',
      'target:use',
      'credential:use',
      'run:trigger',
      'run:cancel',
      'run:resolve',
      'artifact:write',
      'command:send',
    ],
  },
  'job-author': {
    description: 'Writes jobs, does not run them',
    permissions: [...reads, 'credential:read', 'credential:use', 'job:write', 'artifact:write', 'command:send'],
  },
  approver: { description: 'Decides on approvals', permissions: [...reads, 'run:approve', 'command:send'] },
  auditor: {
    description: 'Sees everything that happened and who may do what; changes nothing',
    permissions: [...reads, ...peopleReads, 'credential:read', 'credential:oversee', 'audit:read'],
  },
  'target-admin': {
    description: 'Registers and changes targets and looks after executors',
    permissions: [
      ...reads,
      'credential:read',
      'credential:use',
      'target:write',
      'executor:write',
      'executor:revoke',
      'command:send',
    ],
  },
  'credential-admin': {
    description: 'Stores, replaces and revokes credentials, does not use them',
    permissions: [...reads, 'credential:read', 'credential:oversee', 'credential:write', 'command:send'],
  },
  'user-admin': {
    description: 'Looks after users, groups and grants, of what it holds itself',
    permissions: [
      ...peopleReads,
      'user:write',
      'service-account:write',
      'api-key:write',
      'session:revoke',
      'group:write',
      'grant:write',
      'break-glass:end',
      'break-glass:review',
      'status:read',
      'command:send',
    ],
  },
  'break-glass': {
    description: 'May take all rights for a short time in an emergency, which is looked at afterwards',
    permissions: ['break-glass:activate', 'break-glass:read'],
  },
  administrator: { description: 'Everything', permissions: permissionNames },
} as const satisfies Record<string, BuiltInRole>

export const isBuiltInRole = (name: string): name is keyof typeof builtInRoles => Object.hasOwn(builtInRoles, name)
