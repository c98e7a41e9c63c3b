/** What the roles keep their state in; each is embedded unless its URL is given. */
export type Dependency = 'event-store' | 'postgres' | 'broker'

/** The role that serves a dependency when it is embedded. */
export const dependencyRole = {
  'event-store': 'event-store-node',
  postgres: 'postgres',
  broker: 'broker',
} as const satisfies Record<Dependency, string>

const everything: Dependency[] = ['event-store', 'postgres', 'broker']

const needs = {
  'event-store-node': [],
  postgres: [],
  broker: [],
  vault: everything,
  api: everything,
  'command-api': everything,
  'query-api': ['postgres', 'broker'],
  workers: everything,
  projectors: everything,
  reactors: everything,
  executor: ['broker'],
} as const satisfies Record<string, readonly Dependency[]>

export type RoleName = keyof typeof needs

/** One process for each failure domain. */
export const defaultRoles: readonly RoleName[] = ['vault', 'api', 'workers', 'executor']

const startOrder: readonly (readonly RoleName[])[] = [
  ['event-store-node', 'postgres', 'broker'],
  ['vault'],
  ['workers', 'projectors', 'reactors', 'api', 'command-api', 'query-api'],
  ['executor'],
]
// No new work first, then the work in hand, then those who record it, then where it is recorded.
const stopOrder: readonly (readonly RoleName[])[] = [
  ['api', 'command-api', 'query-api'],
  ['executor'],
  ['workers', 'projectors', 'reactors'],
  ['vault'],
  ['event-store-node', 'postgres', 'broker'],
]

/** Which roles run, in stages: a stage starts (or stops) together once the one before it is ready (or gone). */
export type Plan = { start: RoleName[][]; stop: RoleName[][] }

export function needsOf(role: RoleName): readonly Dependency[] {
  return needs[role]
}

/** Adds to the wanted roles the dependencies that some of them need and that are not given from outside. */
export function plan(wanted: readonly RoleName[], given: Readonly<Record<Dependency, boolean>>): Plan {
  const embedded = everything
    .filter(dependency => !given[dependency] && wanted.some(role => needsOf(role).includes(dependency)))
    .map(dependency => dependencyRole[dependency])
  const running = new Set<RoleName>([...wanted, ...embedded])
  const stages = (order: readonly (readonly RoleName[])[]) =>
    order.map(stage => stage.filter(role => running.has(role))).filter(stage => stage.length > 0)
  return { start: stages(startOrder), stop: stages(stopOrder) }
}

/** Reads `--roles=a,b`. Throws an Error that names what is unknown and what there is. */
export function readRoles(list: string): RoleName[] {
  const names = list.split(',').map(name => name.trim())
  const unknown = names.filter(name => !isRole(name))
  if (unknown.length > 0) {
    throw new Error(`there is no role ${unknown.join(', ')}; there is ${Object.keys(needs).join(', ')}`)
  }
  return names.filter(isRole)
}

function isRole(name: string): name is RoleName {
  return Object.hasOwn(needs, name)
}
