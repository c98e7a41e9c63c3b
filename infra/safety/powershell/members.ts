import type { Node } from 'web-tree-sitter'
import { note } from '../facts.ts'
import { isDynamic, isOpen, mark } from '../text.ts'
import { reportWindowsPaths } from '../windows/report.ts'
import { child, children } from './grammar.ts'
import type { PsWalk } from './types.ts'

/** `[IO.Directory]::Delete(…)`, `$client.DownloadString(…)`, `"ab".Replace(…)`: what .NET calls do and give. */
export function callMember(node: Node, walk: PsWalk): string[] {
  const [object] = children(node)
  const name = (child(node, 'member_name')?.text ?? '').replace(/^["']|["']$/g, '').toLowerCase()
  const list = child(node, 'argument_list')
  const args = list ? children(list).flatMap(part => walk.run.value(part, walk)) : []
  const type =
    object?.type === 'type_literal'
      ? object.text
          .toLowerCase()
          .replace(/^\[|\]$/g, '')
          .replace(/^system\./, '')
      : null
  if (type !== null) return onType(type, name, args, walk)
  const values = object ? walk.run.value(object, walk) : []
  return list ? onObject(values, name, args, walk) : property(values, name, walk)
}

function property(values: string[], name: string, walk: PsWalk): string[] {
  if (/^(fullname|pspath|name|path|directory|directoryname)$/.test(name)) return values
  if (name === 'length' || name === 'count') return [mark.some]
  return values === walk.input ? [mark.unknown] : values.some(isOpen) ? [mark.unknown] : [mark.some]
}

function report(
  effect: 'delete' | 'overwrite' | 'move',
  what: string,
  paths: string[],
  walk: PsWalk,
  recursive = false,
): string[] {
  const { scope, session, pipesInto } = walk
  reportWindowsPaths({ verb: what, args: paths, scope, session, pipesInto }, effect, paths, { recursive })
  return ['']
}

function onType(type: string, name: string, args: string[], walk: PsWalk): string[] {
  const what = `[${type}]::${name}`
  const [first = mark.unknown, second = ''] = args
  if (/^io\.(directory|file|fileinfo|directoryinfo)$/.test(type)) {
    if (name === 'delete') return report('delete', what, [first], walk, type.includes('directory'))
    if (name === 'move') return report('move', what, [first], walk, true)
    if (/^(write|create|append|open)/.test(name) && !/openread|opentext/.test(name))
      return report('overwrite', what, [first], walk)
    if (/^(getfiles|getdirectories|enumerate)/.test(name)) return [`${first}\\*`]
    return [mark.unknown]
  }
  if (/diagnostics\.process$/.test(type) && name === 'start')
    return walk.run.text(`& '${first.replaceAll("'", "''")}' ${second}`, walk)
  if (/scriptblock$/.test(type) && name === 'create') return [first]
  if (type === 'convert' && name === 'frombase64string') return [isDynamic(first) ? mark.decoded : `base64:${first}`]
  if (/encoding$/.test(type)) return [`encoding:${name}`]
  if (type === 'string' && name === 'join') return [args.slice(1).join(first)]
  if (type === 'string' && (name === 'concat' || name === 'format')) return [args.join('')]
  if (type === 'environment' && name === 'getenvironmentvariable') return [mark.unknown]
  if (type === 'io.path')
    return name === 'combine' ? [args.join('\\')] : name === 'gettemppath' ? ['C:\\Windows\\Temp'] : [mark.unknown]
  if (/microsoft\.visualbasic\.fileio\.filesystem/.test(type) && name.startsWith('delete'))
    return report('delete', what, [first], walk, name === 'deletedirectory')
  return [mark.unknown]
}

function onObject(values: string[], name: string, args: string[], walk: PsWalk): string[] {
  const [first = mark.unknown, second = ''] = args
  switch (name) {
    case 'delete':
    case 'deletetree':
      return report('delete', name, values, walk, true)
    case 'win32shutdown':
    case 'reboot':
    case 'shutdown':
      note(walk.session, 'power', name, walk.scope)
      return ['']
    case 'clearlog':
      note(walk.session, 'log-wipe', name, walk.scope)
      return ['']
    case 'moveto':
      return report('move', name, values, walk, true)
    case 'downloadstring':
    case 'downloaddata':
    case 'getstringasync':
      return [mark.network]
    case 'getstring':
      return [decode(values[0] ?? '', first)]
    case 'replace':
      return values.map(value => (isDynamic(value) ? mark.unknown : value.replaceAll(first, () => second)))
    case 'substring':
      return values.map(value =>
        isDynamic(value)
          ? mark.unknown
          : value.slice(Number(first), second === '' ? undefined : Number(first) + Number(second)),
      )
    case 'tostring':
    case 'trim':
    case 'tolower':
    case 'tochararray':
      return values
    case 'toupper':
      return values.map(value => value.toUpperCase())
    case 'split':
      return values.flatMap(value => (isDynamic(value) ? [mark.unknown] : value.split(first)))
    case 'invokescript':
    case 'addscript':
    case 'exec':
    case 'run':
      return walk.run.text(first, walk)
    case 'invoke':
    case 'invokereturnasis':
      return invoke(values, walk)
    default:
      return [mark.unknown]
  }
}

function invoke(values: string[], walk: PsWalk): string[] {
  return values.flatMap(value => {
    const block = walk.blocks.get(value)
    if (block) return walk.run.node(block, walk)
    if (isOpen(value)) return []
    return walk.run.text(value, walk)
  })
}

// `[Text.Encoding]::Unicode.GetString([Convert]::FromBase64String('…'))`
function decode(encoding: string, bytes: string): string {
  const text = /^base64:(.*)$/s.exec(bytes)?.[1]
  if (text === undefined) return isDynamic(bytes) ? mark.decoded : bytes
  return Buffer.from(text, 'base64').toString(/unicode/.test(encoding) && !/utf8/.test(encoding) ? 'utf16le' : 'utf8')
}

/** Text handed to something that runs it. */
export function runValue(value: string, walk: PsWalk): string[] {
  const { session, scope } = walk
  const block = walk.blocks.get(value)
  if (block) return walk.run.node(block, walk)
  if (value.includes(mark.network)) note(session, 'remote-code', 'invoke-expression', scope)
  else if (value.includes(mark.decoded)) note(session, 'hidden-code', 'invoke-expression', scope)
  else if (isOpen(value) && value.replace(/[\uE000\uE002]/g, '').trim() === '')
    note(session, 'dynamic', 'invoke-expression', scope)
  else return walk.run.text(value, { ...walk, scope: { ...scope, via: [...scope.via, 'invoke-expression'] } })
  return [mark.unknown]
}
