import type { Budget } from './budget.ts'
import { TemplateError } from './template-error.ts'
import { isList, isMap, typeName, type Value } from './value.ts'

const INT_MAX = 2n ** 63n - 1n
const INT_MIN = -(2n ** 63n)

function int(value: bigint): bigint {
  if (value > INT_MAX || value < INT_MIN) throw new TemplateError('a whole number out of range')
  return value
}

const mismatch = (op: string, a: Value, b: Value) =>
  new TemplateError(`${op} is not for ${typeName(a)} and ${typeName(b)}`)
const isNumber = (value: Value): value is bigint | number => typeof value === 'bigint' || typeof value === 'number'

function wholeArithmetic(op: string, a: bigint, b: bigint): bigint {
  if ((op === '/' || op === '%') && b === 0n) throw new TemplateError('division by zero')
  if (op === '+') return int(a + b)
  if (op === '-') return int(a - b)
  if (op === '*') return int(a * b)
  return int(op === '/' ? a / b : a % b)
}

function arithmetic(op: string, a: Value, b: Value): Value {
  if (!isNumber(a) || !isNumber(b)) throw mismatch(op, a, b)
  if (typeof a === 'bigint' && typeof b === 'bigint') return wholeArithmetic(op, a, b)
  const [x, y] = [Number(a), Number(b)]
  if (op === '+') return x + y
  if (op === '-') return x - y
  if (op === '*') return x * y
  if (op === '/') return x / y
  throw mismatch(op, a, b)
}

function plus(a: Value, b: Value, budget: Budget): Value {
  if (typeof a === 'string' && typeof b === 'string') {
    budget.write(a.length + b.length)
    return a + b
  }
  if (isList(a) && isList(b)) {
    budget.spend(a.length + b.length)
    return [...a, ...b]
  }
  return arithmetic('+', a, b)
}

/** Values of different types are different, but 1 equals 1.0. */
export function equal(a: Value, b: Value, budget: Budget): boolean {
  budget.spend(1)
  if (isNumber(a) && isNumber(b)) return a <= b && a >= b
  if (isList(a) && isList(b)) return a.length === b.length && a.every((item, i) => equal(item, b[i] ?? null, budget))
  if (isMap(a) && isMap(b)) {
    const keys = Object.keys(a)
    return (
      keys.length === Object.keys(b).length &&
      keys.every(key => Object.hasOwn(b, key) && equal(a[key] ?? null, b[key] ?? null, budget))
    )
  }
  return a === b
}

function compare(op: string, a: Value, b: Value): boolean {
  const comparable =
    (isNumber(a) && isNumber(b)) || (typeof a === typeof b && (typeof a === 'string' || typeof a === 'boolean'))
  if (!comparable || a === null || b === null) throw mismatch(op, a, b)
  if (op === '<') return a < b
  if (op === '<=') return a <= b
  return op === '>' ? a > b : a >= b
}

function isIn(a: Value, b: Value, budget: Budget): boolean {
  if (isList(b)) return b.some(item => equal(a, item, budget))
  if (isMap(b)) return typeof a === 'string' && Object.hasOwn(b, a)
  throw mismatch('in', a, b)
}

export type BinaryOperator = '==' | '!=' | 'in' | '+' | '-' | '*' | '/' | '%' | '<' | '<=' | '>' | '>='

export function binary(op: BinaryOperator, a: Value, b: Value, budget: Budget): Value {
  switch (op) {
    case '==':
      return equal(a, b, budget)
    case '!=':
      return !equal(a, b, budget)
    case 'in':
      return isIn(a, b, budget)
    case '+':
      return plus(a, b, budget)
    case '-':
    case '*':
    case '/':
    case '%':
      return arithmetic(op, a, b)
    case '<':
    case '<=':
    case '>':
    case '>=':
      return compare(op, a, b)
  }
}

export function negative(value: Value): Value {
  if (typeof value === 'bigint') return int(-value)
  if (typeof value === 'number') return -value
  throw new TemplateError(`- is not for ${typeName(value)}`)
}
