import type { Effect, Fact } from '../facts.ts'
import { serviceKind } from '../service-kinds.ts'
import { judgeSql } from '../sql.ts'
import { isOpen, mark } from '../text.ts'
import { delegate } from '../windows/delegate.ts'
import { judgeNative, push } from '../windows/native.ts'
import { resolveWindowsPath } from '../windows/paths.ts'
import { emitWindows, reportWindowsPaths, type WindowsCall } from '../windows/report.ts'
import { runValue } from './members.ts'
import { outputOf } from './output.ts'
import type { PsWalk } from './types.ts'

/** A command with its parameters told apart. */
export type Bound = {
  name: string
  walk: PsWalk
  /** Parameters with a value, by full name. */
  values: Map<string, string[]>
  switches: Set<string>
  positional: string[]
  /** The line as a program that is no cmdlet gets it. */
  words: string[]
}

type Meaning = (bound: Bound, call: WindowsCall) => void

const many = (names: string[], meaning: Meaning): [string, Meaning][] => names.map(name => [name, meaning])

const meanings = new Map<string, Meaning>([
  ...many(['remove-item', 'clear-item', 'remove-itemproperty'], remove),
  ...many(
    ['set-content', 'out-file', 'clear-content', 'tee-object', 'export-csv', 'export-clixml'],
    writes('overwrite'),
  ),
  ['add-content', writes('append')],
  [
    'new-item',
    (bound, call) =>
      bound.switches.has('force') && /file/i.test(bound.values.get('itemtype')?.[0] ?? '')
        ? writes('overwrite')(bound, call)
        : plain(bound, call),
  ],
  ...many(['move-item', 'rename-item'], (bound, call) =>
    reportWindowsPaths(call, 'move', paths(bound), { recursive: true }),
  ),
  ['copy-item', copy],
  ['set-itemproperty', setProperty],
  ['new-itemproperty', setProperty],
  ...many(['stop-service', 'suspend-service', 'remove-service'], stopService),
  [
    'set-service',
    (bound, call) =>
      /disabled|stopped/i.test(
        [...(bound.values.get('startuptype') ?? []), ...(bound.values.get('status') ?? [])].join(' '),
      )
        ? stopService(bound, call)
        : plain(bound, call),
  ],
  ['stop-process', stopProcess],
  ['invoke-expression', evaluate],
  ...many(
    [
      'invoke-command',
      'start-job',
      'start-threadjob',
      'foreach-object',
      'where-object',
      'measure-command',
      'register-scheduledjob',
      'invoke-azvmruncommand',
    ],
    runBlocks,
  ),
  ['start-process', startProcess],
  ...many(['invoke-wmimethod', 'invoke-cimmethod'], wmiMethod),
  ...many(['remove-wmiobject', 'remove-ciminstance'], (bound, call) =>
    emitWindows(call, {
      effect: bound.walk.input.some(value => /shadow/i.test(value)) ? 'wipe' : 'delete',
      targets: bound.walk.input,
      kinds: ['disk'],
    }),
  ),
  ...many(['set-location', 'push-location'], (bound, call) => {
    bound.walk.scope.cwd = resolveWindowsPath(first(bound, 'path', 'literalpath') ?? mark.home, bound.walk.scope.cwd)
    plain(bound, call)
  }),
  ...many(['set-variable', 'new-variable'], bound => {
    const [name = '', value = mark.unknown] = bound.positional
    bound.walk.vars.set(
      (bound.values.get('name')?.[0] ?? name).toLowerCase(),
      bound.values.get('value') ?? [bound.values.has('name') ? name : value],
    )
  }),
  ...many(['set-alias', 'new-alias'], bound => {
    const [name = '', value = ''] = [
      ...(bound.values.get('name') ?? []),
      ...bound.positional,
      ...(bound.values.get('value') ?? []),
    ]
    bound.walk.aliases.set(name.toLowerCase(), value.toLowerCase())
  }),
  ['invoke-sqlcmd', sql],
  ['new-object', newObject],
  [
    'set-mppreference',
    (bound, call) =>
      emitWindows(call, {
        effect:
          [...bound.switches, ...bound.values.keys()].some(name => name.startsWith('disable')) &&
          !bound.words.some(word => /^(\$?false|0)$/i.test(word))
            ? 'security-off'
            : null,
      }),
  ],
  [
    'set-netfirewallprofile',
    (bound, call) =>
      emitWindows(call, {
        effect:
          /false/i.test(bound.values.get('enabled')?.join('') ?? '') ||
          /allow/i.test(bound.values.get('defaultinboundaction')?.join('') ?? '')
            ? 'security-off'
            : null,
      }),
  ],
  [
    'set-executionpolicy',
    (bound, call) =>
      emitWindows(call, {
        effect:
          /bypass|unrestricted/i.test(bound.words.join(' ')) &&
          !/process/i.test(bound.values.get('scope')?.join('') ?? '')
            ? 'security-off'
            : null,
      }),
  ],
  [
    'add-type',
    (bound, call) =>
      emitWindows(call, {
        effect: /Process\.Start|DllImport|File\.Delete|Directory\.Delete/.test(bound.words.join(' '))
          ? 'inline-code'
          : null,
      }),
  ],
])

/** Says what the command does; answers what it puts out. */
export function meanCmdlet(bound: Bound): string[] {
  const { name, walk } = bound
  const { scope, session, pipesInto } = walk
  const cmdlet = name.includes('-') || meanings.has(name)
  const call: WindowsCall = {
    verb: name.replace(/\.exe$/, ''),
    args: cmdlet ? argsOf(bound) : bound.words,
    scope,
    session,
    pipesInto,
  }
  if (cmdlet && (bound.switches.has('whatif') || bound.switches.has('?')))
    emitWindows({ ...call, args: ['-whatif'] }, {})
  else {
    const meaning = meanings.get(name)
    if (meaning) meaning(bound, call)
    else if (cmdlet) plain(bound, call)
    else if (name === 'mkdir' || name === '.' || !judgeNative(call)) delegate(call)
  }
  return outputOf(bound)
}

function argsOf({ values, switches, positional }: Bound): string[] {
  return [
    ...[...switches].map(name => `-${name}`),
    ...[...values].flatMap(([name, list]) => [`-${name}=${list.join(',')}`]),
    ...positional,
  ]
}

function plain(bound: Bound, call: WindowsCall): void {
  const names = objects(bound)
  emitWindows(call, { targets: names, kinds: names.some(isOpen) ? ['unknown'] : [] } satisfies Partial<Fact>)
}

const first = ({ values, positional }: Bound, ...names: string[]) =>
  names.flatMap(name => values.get(name) ?? [])[0] ?? positional[0]

/** What the command acts on: by parameter, by place or by the pipeline. */
function paths(bound: Bound): string[] {
  const named = [
    ...(bound.values.get('path') ?? []),
    ...(bound.values.get('literalpath') ?? []),
    ...(bound.values.get('filepath') ?? []),
    ...(bound.values.get('inputobject') ?? []),
  ]
  if (named.length > 0) return named
  return bound.positional.length > 0 ? bound.positional : bound.walk.input
}

function objects({ values, positional, walk }: Bound): string[] {
  const named = ['name', 'displayname', 'id', 'identity', 'number', 'driveletter', 'disknumber'].flatMap(
    name => values.get(name) ?? [],
  )
  return [...named, ...positional, ...(named.length + positional.length === 0 ? walk.input : [])]
}

function remove(bound: Bound, call: WindowsCall): void {
  const named = paths(bound)
  const narrowed = bound.values.has('include') || bound.values.has('filter')
  const effect: Effect =
    narrowed && !/^\*(\.\*)?$/.test((bound.values.get('include') ?? bound.values.get('filter') ?? [])[0] ?? '')
      ? 'delete-some'
      : 'delete'
  const piped = bound.positional.length === 0 && !bound.values.has('path') && !bound.values.has('literalpath')
  const filtered = piped && named.some(path => path.endsWith(`\\${mark.some}`))
  const where = filtered ? named.map(path => path.replace(/\\\uE001$/, '')) : named
  const recursive =
    bound.switches.has('recurse') ||
    (piped && named.some(path => path.endsWith('\\*'))) ||
    bound.name === 'remove-itemproperty'
  reportWindowsPaths(call, filtered ? 'delete-some' : effect, where, { recursive, force: bound.switches.has('force') })
}

function writes(effect: 'overwrite' | 'append'): Meaning {
  return (bound, call) => {
    const [path] = ['path', 'literalpath', 'filepath']
      .flatMap(name => bound.values.get(name) ?? [])
      .concat(bound.positional)
    if (path === undefined) plain(bound, call)
    else reportWindowsPaths(call, bound.switches.has('append') ? 'append' : effect, [path])
  }
}

function copy(bound: Bound, call: WindowsCall): void {
  const to = bound.values.get('destination')?.[0] ?? bound.positional[1]
  if (to === undefined) plain(bound, call)
  else reportWindowsPaths(call, 'overwrite', [to])
}

function setProperty(bound: Bound, call: WindowsCall): void {
  const guards =
    /DisableAntiSpyware|DisableRealtimeMonitoring|EnableLUA|fDenyTSConnections|Windows Defender|Image File Execution|Winlogon|LocalAccountTokenFilterPolicy/i
  emitWindows(call, { effect: guards.test(bound.words.join(' ')) ? 'security-off' : null, targets: paths(bound) })
}

function stopService(bound: Bound, call: WindowsCall): void {
  const names = objects(bound)
  emitWindows(call, {
    effect: 'service-stop',
    targets: names,
    kinds: names.map(serviceKind),
    force: bound.switches.has('force'),
  })
}

const vital = /^(lsass|csrss|wininit|winlogon|services|svchost|smss|system|lsm|dwm)$/i

function stopProcess(bound: Bound, call: WindowsCall): void {
  const names = objects(bound)
  const all = names.some(name => name === '*' || name === mark.star || /^\\?\*$/.test(name))
  const kinds = names.map(name =>
    vital.test(name) ? 'lifeline-service' : /^\d+$/.test(name) || isOpen(name) ? 'other' : serviceKind(name),
  )
  emitWindows(call, { effect: all ? 'kill-all' : 'kill', targets: names, kinds, force: bound.switches.has('force') })
}

function evaluate({ walk, values, positional }: Bound, call: WindowsCall): void {
  const given = [...(values.get('command') ?? []), ...positional]
  const texts = given.length > 0 ? [given.join(' ')] : walk.input
  if (
    walk.session.facts.some(
      fact => fact.verb === 'new-object' && fact.effect === null && /tcpclient/i.test(fact.args.join(' ')),
    ) &&
    texts.some(isOpen)
  )
    emitWindows(call, { effect: 'reverse-shell' })
  for (const text of texts) runValue(text, walk)
}

function runBlocks({ values, positional, walk, name }: Bound, call: WindowsCall): void {
  const named = ['scriptblock', 'process', 'begin', 'end', 'filepath', 'initializationscript'].flatMap(
    key => values.get(key) ?? [],
  )
  const away = name === 'invoke-command' || name.startsWith('start-')
  const inner = away ? { ...walk, scope: { ...walk.scope, via: [...walk.scope.via, name] } } : walk
  for (const value of [...named, ...positional, ...walk.input.filter(one => walk.blocks.has(one))]) {
    const block = walk.blocks.get(value)
    if (block) inner.run.node(block, inner)
    else if (name === 'foreach-object' && /^(delete|kill|stop|remove)/i.test(value))
      reportWindowsPaths(call, 'delete', walk.input, { recursive: true })
    else if (away && isOpen(value) && named.includes(value)) runValue(value, inner)
  }
}

function startProcess(bound: Bound, call: WindowsCall): void {
  const program = first(bound, 'filepath') ?? ''
  const rest =
    bound.values.get('argumentlist') ?? (bound.values.has('filepath') ? bound.positional : bound.positional.slice(1))
  const line = [program, ...rest].join(' ')
  if (isOpen(program)) emitWindows(call, { effect: 'dynamic', dynamic: true })
  else push(call, 'cmd', line)
}

function wmiMethod(bound: Bound, call: WindowsCall): void {
  const line = bound.words.join(' ')
  const command = /CommandLine\s*=?\s*['"]?(.+)/i.exec(line)?.[1] ?? (bound.values.get('argumentlist') ?? [])[0]
  if (/\bcreate\b/i.test(line) && command !== undefined) push(call, 'cmd', command)
  emitWindows(call, {
    effect: /win32shutdown|reboot|shutdown/i.test(line) ? 'power' : /\bcreate\b/i.test(line) ? 'inline-code' : null,
  })
}

function sql(bound: Bound, call: WindowsCall): void {
  for (const found of judgeSql(bound.values.get('query')?.[0] ?? bound.positional[0] ?? ''))
    if ('effect' in found) emitWindows(call, { effect: found.effect, targets: found.targets })
  plain(bound, call)
}

function newObject(bound: Bound, call: WindowsCall): void {
  emitWindows({ ...call, args: bound.words }, {})
}
