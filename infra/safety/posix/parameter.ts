import type { ParameterOperation, Word } from 'unbash'
import { isDynamic, mark, patternOf } from '../text.ts'
import type { Expander } from './expander-types.ts'
import { unite } from './state.ts'

type Reference = {
  name: string
  prefix?: '!' | '#' | undefined
  index?: Word | undefined
  operation?: ParameterOperation | undefined
}

/** The values `$name`, `${name…}` may have; one that is set nowhere may be anything. */
export function parameter({ name, prefix, index, operation }: Reference, expander: Expander): string[] {
  if (prefix === '#') return [mark.some]
  const values = valuesOf(name, index, expander)
  if (prefix === '!') return indirect(values, expander)
  return operation ? operate(name, values, operation, expander) : (values ?? [mark.unknown])
}

function valuesOf(name: string, index: Word | undefined, expander: Expander): string[] | undefined {
  const { vars, arrays } = expander.state
  const array = arrays.get(name)
  if (!array) return name === 'PWD' ? [expander.state.cwd] : vars.get(name)
  if (!index) return array.slice(0, 1)
  if (index.value === '@' || index.value === '*') return [array.join(mark.split)]
  const at = Number(index.value)
  return Number.isInteger(at) ? [array.at(at) ?? ''] : unite(array)
}

function indirect(values: string[] | undefined, expander: Expander): string[] {
  const found = values?.map(name => expander.state.vars.get(name))
  return found?.every(list => list !== undefined) ? unite(...found.map(list => list ?? [])) : [mark.unknown]
}

function operate(
  name: string,
  values: string[] | undefined,
  operation: ParameterOperation,
  expander: Expander,
): string[] {
  switch (operation.type) {
    case 'Default':
      return fallback(name, values, operation, expander)
    case 'Remove':
      return each(values, value => remove(value, operation.operator, expander.values(operation.operand)[0] ?? ''))
    case 'CaseModification':
      return each(values, value => changeCase(value, operation.operator))
    case 'Slice':
      return each(values, value => slice(value, operation.offset, operation.length))
    case 'Replace': {
      const [from = ''] = expander.values(operation.pattern)
      const [to = ''] = expander.values(operation.replacement)
      return each(values, value => replace(value, operation.operator, from, to))
    }
    case 'Transform':
    case 'Names':
    case 'Unknown':
      return [mark.unknown]
  }
}

function each(values: string[] | undefined, change: (value: string) => string | null): string[] {
  return unite(
    (values ?? [mark.unknown]).map(value => (isDynamic(value) ? mark.unknown : (change(value) ?? mark.unknown))),
  )
}

function fallback(
  name: string,
  values: string[] | undefined,
  { operator, operand }: Extract<ParameterOperation, { type: 'Default' }>,
  expander: Expander,
): string[] {
  const others = expander.values(operand)
  const emptyCounts = operator.startsWith(':')
  if (operator.endsWith('+')) return unite(['', ...others])
  if (operator.endsWith('?'))
    return (values ?? [mark.present]).map(value => (value === mark.unknown ? mark.present : value))
  const known = values?.filter(value => value !== mark.unknown && !(emptyCounts && value === ''))
  const open = !values || values.some(value => value === mark.unknown || value === '')
  const result = unite(known ?? [], open ? [emptyCounts ? mark.present : mark.unknown, ...others] : [])
  if (operator.endsWith('=')) expander.state.vars.set(name, result)
  return result
}

function remove(value: string, operator: string, pattern: string): string | null {
  if (isDynamic(pattern) || value.length > 512 || pattern.length > 64) return null
  const fits = patternOf(pattern)
  const lengths = Array.from({ length: value.length + 1 }, (_, index) => index)
  if (operator.length === 2) lengths.reverse()
  const cut = lengths.find(length =>
    fits.test(operator.startsWith('#') ? value.slice(0, length) : value.slice(value.length - length)),
  )
  if (cut === undefined) return value
  return operator.startsWith('#') ? value.slice(cut) : value.slice(0, value.length - cut)
}

function changeCase(value: string, operator: string): string {
  const upper = operator.startsWith('^')
  const change = (text: string) => (upper ? text.toUpperCase() : text.toLowerCase())
  return operator.length === 2 ? change(value) : change(value.slice(0, 1)) + value.slice(1)
}

function slice(value: string, offset: Word, length: Word | undefined): string | null {
  const from = Number(offset.value)
  const count = length ? Number(length.value) : value.length
  if (!Number.isInteger(from) || !Number.isInteger(count)) return null
  const start = from < 0 ? Math.max(0, value.length + from) : from
  return count < 0 ? value.slice(start, count) : value.slice(start, start + count)
}

function replace(value: string, operator: string, from: string, to: string): string | null {
  if (from === '' || /[\uE000-\uE008]/.test(from)) return null
  if (operator === '//') return value.replaceAll(from, () => to)
  if (operator === '/#') return value.startsWith(from) ? to + value.slice(from.length) : value
  if (operator === '/%') return value.endsWith(from) ? value.slice(0, -from.length) + to : value
  return value.replace(from, () => to)
}
