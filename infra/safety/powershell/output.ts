import { isOpen, mark } from '../text.ts'
import type { Bound } from './meanings.ts'

const readsNetwork = new Set([
  'invoke-webrequest',
  'invoke-restmethod',
  'start-bitstransfer',
  'curl.exe',
  'curl',
  'wget',
  'wget.exe',
])
const narrows = new Set(['where-object', 'select-object', 'select-string'])
const passes = new Set([
  'sort-object',
  'foreach-object',
  'tee-object',
  'out-string',
  'out-host',
  'get-unique',
  'write-output',
  'convert-path',
  'resolve-path',
])

/** What a command puts out, as far as it can be told: paths it lists, names, text. */
export function outputOf({ name, walk, values, positional }: Bound): string[] {
  const named = [
    ...(values.get('path') ?? []),
    ...(values.get('literalpath') ?? []),
    ...(values.get('name') ?? []),
    ...positional,
  ]
  if (readsNetwork.has(name)) return [mark.network]
  if (name === 'get-childitem')
    return list(
      named,
      walk.scope.cwd,
      values.has('filter') || values.has('include') || named.some(path => /\*\.\w+$/.test(path)),
    )
  if (name === 'get-item' || name === 'get-service' || name === 'get-process') return named.length > 0 ? named : ['*']
  if (name === 'get-location') return [walk.scope.cwd]
  if (name === 'write-output') return [...positional, ...(positional.length === 0 ? walk.input : [])]
  if (name === 'join-path')
    return [[...(values.get('path') ?? []), ...(values.get('childpath') ?? []), ...positional].join('\\')]
  if (name === 'new-temporaryfile') return ['C:\\Windows\\Temp\\tmp']
  if (name === 'get-date' || name === 'get-random' || name === 'hostname') return [mark.some]
  if (name === 'get-wmiobject' || name === 'get-ciminstance')
    return [
      [
        ...named,
        ...(values.get('class') ?? []),
        ...(values.get('classname') ?? []),
        ...(values.get('query') ?? []),
      ].join(' '),
    ]
  if (narrows.has(name))
    return walk.input.map(value => (value === '*' ? mark.some : value.replace(/\\\*$/, () => `\\${mark.some}`)))
  if (passes.has(name)) return walk.input
  return [mark.unknown]
}

function list(paths: string[], cwd: string, filtered: boolean): string[] {
  const roots = paths.length > 0 ? paths : [cwd]
  return roots.map(path =>
    isOpen(path) ? path : `${path.replace(/\\\*(\.\w+)?$|\\$/, '')}\\${filtered ? mark.some : '*'}`,
  )
}
