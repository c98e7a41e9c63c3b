import type { Effect } from './facts.ts'

export type SqlFinding = { effect: Effect; targets: string[] } | { shell: string }

/** What a text of SQL statements would destroy. Strings and comments are skipped; `\!` of psql is a command. */
export function judgeSql(text: string): SqlFinding[] {
  const shell = [...text.matchAll(/^\s*(?:\\!|system\s|!!?)\s*(.+)$/gim)].map(match => ({ shell: match[1] ?? '' }))
  return [...shell, ...statements(text).flatMap(statement => finding(statement) ?? [])]
}

type Words = string[]

// One pass: strings, quoted names, comments, words, semicolons.
const token =
  /'(?:[^']|'')*'|"((?:[^"]|"")*)"|`([^`]*)`|\[(\w+)\]|--[^\n]*|\/\*!?\d*|\*\/|#[^\n]*|\$(\w*)\$[\s\S]*?\$\4\$|[\w.$%-]+|;|\S/g

function statements(text: string): Words[] {
  const found: Words[] = [[]]
  const bare = text.replace(/\/\*[^!][\s\S]*?\*\//g, ' ')
  for (const [whole, doubled, ticked, bracketed] of bare.matchAll(token)) {
    if (whole === ';') found.push([])
    else if (/^(--|#|'|\/\*|\*\/)/.test(whole)) found.at(-1)?.push(...(whole.startsWith("'") ? ["''"] : []))
    else found.at(-1)?.push(doubled ?? ticked ?? bracketed ?? whole)
  }
  return found.filter(words => words.length > 0)
}

function finding(words: Words): SqlFinding | undefined {
  const upper = words.map(word => word.toUpperCase())
  const [first = '', second = ''] = upper
  const name = words
    .filter((word, index) => index > 1 && !/^(IF|EXISTS|ONLY|TABLE|CONCURRENTLY)$/i.test(word))
    .slice(0, 1)
  if (first === 'DROP') return drop(second, name)
  if (first === 'TRUNCATE') return { effect: 'delete-rows', targets: second === 'TABLE' ? name : words.slice(1, 2) }
  if (first === 'ALTER' && upper.includes('DROP') && second === 'TABLE') return { effect: 'drop-table', targets: name }
  const deletes = upper.indexOf('DELETE')
  if ((first === 'DELETE' || (first === 'WITH' && deletes > 0 && upper[deletes + 1] === 'FROM')) && unlimited(upper))
    return { effect: 'delete-rows', targets: words.slice(2, 3) }
  if (first === 'UPDATE' && upper.includes('SET') && unlimited(upper))
    return { effect: 'delete-rows', targets: words.slice(1, 2) }
  return undefined
}

function drop(what: string, targets: string[]): SqlFinding | undefined {
  if (what === 'DATABASE' || what === 'SCHEMA' || what === 'KEYSPACE' || what === 'TABLESPACE')
    return { effect: 'drop-database', targets }
  if (/^(TABLE|VIEW|MATERIALIZED|OWNED|USER|ROLE|COLLECTION|FOREIGN|MEASUREMENT|BUCKET)$/.test(what))
    return { effect: 'drop-table', targets }
  return undefined
}

// No condition, or one that always holds: `WHERE 1=1`, `WHERE true`.
function unlimited(upper: Words): boolean {
  const where = upper.lastIndexOf('WHERE')
  if (where < 0) return !upper.includes('LIMIT')
  const condition = upper.slice(where + 1).join('')
  return /^\(*(1=1|TRUE|1|''=''|NOTFALSE|0=0)\)*(OR|$)/.test(condition) || /OR(1=1|TRUE)\)*$/.test(condition)
}

/** What a text for redis or the MongoDB shell would destroy. */
export function judgeDocumentScript(text: string): SqlFinding[] {
  const code = text.replace(/\/\/[^\n]*|\/\*[\s\S]*?\*\//g, ' ')
  if (/\.dropDatabase\s*\(|dropDatabase\s*:/.test(code)) return [{ effect: 'drop-database', targets: [] }]
  if (/\.(drop|dropCollection)\s*\(/.test(code)) return [{ effect: 'drop-table', targets: [] }]
  return /\.(deleteMany|remove)\s*\(\s*(\{\s*\}\s*)?[,)]/.test(code) ? [{ effect: 'delete-rows', targets: [] }] : []
}
