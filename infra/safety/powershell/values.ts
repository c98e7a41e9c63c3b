import type { Node } from 'web-tree-sitter'
import { bounds } from '../bounds.ts'
import { isDynamic, mark } from '../text.ts'
import { windowsVariables } from '../windows/variables.ts'
import { child, children, core } from './grammar.ts'
import { callMember } from './members.ts'
import type { PsWalk } from './types.ts'

/** What an expression may be, as texts. Commands inside it are judged on the way. */
export function valueOfNode(written: Node, walk: PsWalk): string[] {
  const node = core(written)
  if (!walk.session.budget.spend(walk.scope.depth)) return [mark.unknown]
  switch (node.type) {
    case 'verbatim_string_characters':
      return [node.text.slice(1, -1).replaceAll("''", "'")]
    case 'verbatim_here_string_characters':
      return [node.text.slice(2, -2).replace(/^\s*?\n|\r?\n$/g, '')]
    case 'expandable_string_literal':
    case 'expandable_here_string_literal':
      return [expandable(node, walk)]
    case 'generic_token':
    case 'command_name':
    case 'command_token':
      return [bareWord(node.text, walk)]
    case 'variable':
    case 'braced_variable':
      return variable(node.text, walk)
    case 'decimal_integer_literal':
    case 'hexadecimal_integer_literal':
    case 'real_literal':
      return [String(Number(node.text))]
    case 'additive_expression':
    case 'additive_argument_expression':
      return add(node, walk)
    case 'format_expression':
    case 'format_argument_expression':
      return [
        format(
          children(node)
            .filter(({ type }) => type !== 'format_operator')
            .map(part => walk.run.value(part, walk)),
        ),
      ]
    case 'comparison_expression':
    case 'comparison_argument_expression':
      return compare(node, walk)
    case 'invokation_expression':
    case 'member_access':
      return callMember(node, walk)
    case 'element_access':
      return element(node, walk)
    case 'expression_with_unary_operator':
      return unary(node, walk)
    case 'typeNodeexpression':
      return cast(node, walk)
    case 'script_block_expression':
      return [holdBlock(node, walk)]
    case 'hash_literal_expression':
      return children(node)
        .flatMap(part => walk.run.value(part, walk))
        .slice(0, 0)
    case 'array_literal_expression':
    case 'array_literal_argument_expression':
    case 'argument_expression_list':
    case 'argument_list':
      return children(node)
        .flatMap(part => walk.run.value(part, walk))
        .slice(0, bounds.fields)
    case 'type_literal':
      return [node.text]
    case 'array_expression':
    case 'sub_expression':
    case 'parenthesized_expression':
    case 'statement_list':
    case 'pipeline':
    case 'pipeline_chain':
    case 'command':
      return walk.run.node(node, walk)
    default:
      for (const part of children(node)) walk.run.value(part, walk)
      return [mark.some]
  }
}

/** A block is a value too: it is kept under a name until something runs it. */
function holdBlock(node: Node, walk: PsWalk): string {
  const name = `{${walk.blocks.size}}`
  walk.blocks.set(name, node)
  return name
}

function expandable(node: Node, walk: PsWalk): string {
  const inner =
    node.type === 'expandable_string_literal'
      ? [node.startIndex + 1, node.endIndex - 1]
      : [node.startIndex + 2, node.endIndex - 2]
  const [start = 0, end = 0] = inner
  let at = start
  let text = ''
  const raw = (from: number, to: number) => plainText(node.text.slice(from - node.startIndex, to - node.startIndex))
  for (const part of children(node)) {
    text += raw(at, part.startIndex) + walk.run.value(part, walk).join(' ')
    at = part.endIndex
  }
  return (text + raw(at, end)).slice(0, bounds.value)
}

const escapes: Record<string, string> = { n: '\n', t: '\t', r: '\r', '0': '', a: '', b: '', f: '', v: '' }

function plainText(text: string): string {
  return text.replace(/`(.)/gs, (_, character: string) => escapes[character] ?? character).replaceAll('""', '"')
}

function bareWord(text: string, walk: PsWalk): string {
  const plain = text.replace(/"([^"]*)"|'([^']*)'/g, (_, double?: string, single?: string) => double ?? single ?? '')
  return plainText(plain).replace(/\$(?:\{([^}]+)\}|((?:\w+:)?\w+))/g, (_, braced?: string, name?: string) =>
    variable(`$${braced ?? name}`, walk).join(' '),
  )
}

export function variable(written: string, walk: PsWalk): string[] {
  const name = written
    .replace(/^[$@]\{?|\}$/g, '')
    .toLowerCase()
    .replace(/^(global|script|local|private|using|variable):/, '')
  if (name === 'true' || name === 'false') return [name]
  if (name === 'null') return ['']
  if (name === '_' || name === 'psitem' || name === 'input') return walk.input
  if (name === 'home' || name === 'pshome')
    return [name === 'home' ? mark.home : 'C:\\Windows\\System32\\WindowsPowerShell\\v1.0']
  if (name === 'pwd') return [walk.scope.cwd]
  if (name.startsWith('env:')) return [windowsVariables.get(name.slice(4)) ?? walk.vars.get(name)?.[0] ?? mark.unknown]
  return walk.vars.get(name) ?? [mark.unknown]
}

function add(node: Node, walk: PsWalk): string[] {
  const parts = children(node).map(part => walk.run.value(part, walk))
  if (node.children.some(part => part?.text === '-')) return [mark.some]
  const lists = parts.some(part => part.length > 1)
  return lists
    ? parts.flat().slice(0, bounds.fields)
    : [
        parts
          .map(part => part.join(''))
          .join('')
          .slice(0, bounds.value),
      ]
}

function format([pattern = [], ...values]: string[][]): string {
  const given = values.flat()
  return (pattern[0] ?? '').replace(/\{(\d+)[^}]*\}/g, (_, index: string) => given[Number(index)] ?? mark.unknown)
}

function compare(node: Node, walk: PsWalk): string[] {
  const operator = child(node, 'comparison_operator')?.text.toLowerCase() ?? ''
  const [left = [], ...rest] = children(node)
    .filter(({ type }) => type !== 'comparison_operator')
    .map(part => walk.run.value(part, walk))
  const right = rest.flat()
  if (/join$/.test(operator)) return [left.join(right[0] ?? '')]
  if (/replace$/.test(operator)) return left.map(text => replacePlain(text, right))
  if (/split$/.test(operator))
    return left
      .flatMap(text => (isDynamic(text) ? [mark.unknown] : text.split(right[0] ?? ' ')))
      .slice(0, bounds.fields)
  return [mark.some]
}

// Only a pattern without signs of its own is followed.
function replacePlain(text: string, [from = '', to = '']: string[]): string {
  return isDynamic(text) || !/^[\w\s@#~,;:!%&=<>-]+$/.test(from)
    ? mark.unknown
    : text.replaceAll(new RegExp(from, 'gi'), () => to)
}

function element(node: Node, walk: PsWalk): string[] {
  const [object, index] = children(node)
  const values = object ? walk.run.value(object, walk) : []
  const at = index ? walk.run.value(index, walk) : []
  if (values.length === 1 && at.every(one => /^-?\d+$/.test(one)))
    return at.map(one => [...(values[0] ?? '')].at(Number(one)) ?? '')
  const found = at.map(one => values.at(Number(one)))
  return found.every(one => one !== undefined) && found.length > 0 ? found.flatMap(one => one ?? []) : values
}

function unary(node: Node, walk: PsWalk): string[] {
  const typeNode = child(node, 'type_literal')
  if (typeNode) return cast(node, walk)
  const values = children(node).flatMap(part => walk.run.value(part, walk))
  return /^-join/i.test(node.text) ? [values.join('')] : values
}

function cast(node: Node, walk: PsWalk): string[] {
  const [type, ...rest] = children(node)
  const values = rest.flatMap(part => walk.run.value(part, walk))
  const name = type?.text.toLowerCase() ?? ''
  if (/^\[(system\.)?char(\[\])?\]$/.test(name))
    return values
      .flatMap(value => (/^\d+$/.test(value) ? String.fromCodePoint(Math.min(Number(value), 0x10ffff)) : [...value]))
      .slice(0, bounds.fields)
  if (/scriptblock/.test(name)) return values
  return values
}
