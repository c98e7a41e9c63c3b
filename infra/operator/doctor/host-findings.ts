import { PROTOCOL, supportedProtocols } from '../../../schemas/bus.ts'
import type { Database, Facts, Finding } from './facts.ts'

/** https://github.com/nodejs/release#release-schedule: the last day of each even version; odd ones have half a year. */
const endOfLife: Readonly<Record<number, string>> = {
  20: '2026-04-30',
  22: '2027-04-30',
  24: '2028-04-30',
  26: '2029-04-30',
}
const GIB = 1024 ** 3
/** Of a clock, milliseconds: what people notice in times, and what executors are refused for. */
const DRIFT = { warning: 1_000, danger: 60_000 }

/** What the system runs on. */
export function hostFindings(facts: Facts): Finding[] {
  const { database } = facts
  return [
    ...node(facts),
    ...nodeSettings(facts),
    ...privileges(facts),
    ...apart(facts),
    ...swap(facts),
    ...logging(facts),
    ...disks(facts),
    ...(database === 'unreachable' ? [unreachable] : []),
    ...(typeof database === 'object' ? [...clock(database), ...executors(database)] : []),
  ]
}

function node({ node, now }: Facts): Finding[] {
  const major = Number(/^v?(\d+)/.exec(node)?.[1])
  const last = endOfLife[major]
  if (last ? now.slice(0, 10) <= last : major > 26) return []
  return [
    {
      ...{ id: 'old-node', severity: 'warning' },
      what: `Node ${node} gets no security fixes any more${last ? ` since ${last}` : ''}.`,
      todo: 'Run a version with long-term support: https://nodejs.org/en/about/previous-releases',
    },
  ]
}

function nodeSettings({ nodeSettings: { trustsAnybody, debuggable } }: Facts): Finding[] {
  const found: Finding[] = []
  if (trustsAnybody) {
    found.push({
      ...{ id: 'node-trusts-anybody', severity: 'danger' },
      what: 'NODE_TLS_REJECT_UNAUTHORIZED=0: every certificate is taken, whoever answers.',
      todo: 'Leave it out; name the authority with NODE_EXTRA_CA_CERTS.',
    })
  }
  if (debuggable) {
    found.push({
      ...{ id: 'node-debuggable', severity: 'danger' },
      what: 'NODE_OPTIONS starts a debugger, which reads and changes all memory, that of the vault too.',
      todo: 'Take --inspect out of NODE_OPTIONS.',
    })
  }
  return found
}

/** What the vault holds is apart from the others only as far as its user is. */
function apart({ roles }: Facts): Finding[] {
  const vault = roles.find(({ name }) => name === 'vault')
  const beside = roles.filter(({ name, uid }) => name !== 'vault' && uid === vault?.uid).map(({ name }) => name)
  if (beside.length === 0) return []
  return [
    {
      ...{ id: 'vault-not-apart', severity: 'note' },
      what: `The vault runs as the same user as ${beside.join(', ')}: whoever takes over one of them reads its memory.`,
      todo: 'Run it as a user of its own, the executor next.',
    },
  ]
}

function swap({ swap }: Facts): Finding[] {
  if (swap.length === 0) return []
  return [
    {
      ...{ id: 'swap', severity: 'note' },
      what: `Memory, with secrets in it, may be written to ${swap.join(', ')}.`,
      todo: 'Turn swap off, or make sure that it is encrypted.',
    },
  ]
}

function privileges({ root, coreDumps, roles }: Facts): Finding[] {
  const found: Finding[] = []
  const asRoot = roles.filter(({ uid }) => uid === 0).map(({ name }) => name)
  if (root || asRoot.length > 0) {
    found.push({
      ...{ id: 'running-as-root', severity: 'warning' },
      what: asRoot.length > 0 ? `These parts run as root: ${asRoot.join(', ')}.` : 'This is run as root.',
      todo: 'Give it a user of its own; nothing in it needs root.',
    })
  }
  const dumping = roles.filter(role => role.coreDumps).map(({ name }) => name)
  if (roles.length === 0 ? coreDumps : dumping.length > 0) {
    found.push({
      ...{ id: 'core-dumps', severity: 'warning' },
      what: `A crash may write memory, with secrets in it, to disk${dumping.length > 0 ? `: ${dumping.join(', ')}` : ''}.`,
      todo: 'Forbid core dumps: ulimit -c 0, LimitCORE=0 in a systemd unit.',
    })
  }
  return found
}

function logging({ logLevel }: Facts): Finding[] {
  if (logLevel !== 'debug') return []
  const what = 'The log level is debug: more is written than anybody reads, names and addresses among it.'
  return [{ id: 'debug-log', severity: 'warning', what, todo: 'Leave OPSCONDUCTOR_LOG_LEVEL out, or set it to info.' }]
}

function disks({ disks }: Facts): Finding[] {
  return disks.flatMap(({ path, free, total }): Finding[] => {
    const share = free / total
    if (share >= 0.1 && free >= GIB) return []
    const severity = share < 0.02 || free < GIB / 10 ? 'danger' : 'warning'
    const what = `${path} has ${(free / GIB).toFixed(1)} GiB left, ${Math.floor(share * 100)} % of it.`
    const todo =
      'Make room: a full disk stops commands until there is some again, and nothing can be recorded meanwhile.'
    return [{ id: 'disk-nearly-full', severity, what, todo }]
  })
}

const unreachable: Finding = {
  ...{ id: 'database-unreachable', severity: 'warning' },
  what: 'Postgres does not answer: clocks, executors and what expires were not looked at.',
  todo: 'Start the system, or check OPSCONDUCTOR_POSTGRES_URL, and ask again.',
}

function clock({ driftMs }: Database): Finding[] {
  const off = Math.abs(driftMs)
  if (off < DRIFT.warning) return []
  return [
    {
      ...{ id: 'clock-drift', severity: off < DRIFT.danger ? 'warning' : 'danger' },
      what: `The clock here is ${(off / 1000).toFixed(1)} s ${driftMs > 0 ? 'ahead of' : 'behind'} the database's.`,
      todo: 'Let both follow a time server (chrony, systemd-timesyncd).',
    },
  ]
}

function executors({ executors }: Database): Finding[] {
  const older = executors.filter(({ protocol }) => protocol < PROTOCOL)
  return older.map(({ executorId, protocol }) => {
    const spoken = supportedProtocols.has(protocol)
    return {
      ...{ id: 'executor-older-protocol', severity: spoken ? 'warning' : 'danger' },
      what: `The executor ${executorId} speaks protocol ${protocol}, this program ${PROTOCOL}${spoken ? '' : ': it gets no work'}.`,
      todo: 'Update the executor.',
    }
  })
}
