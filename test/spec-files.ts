import { readdirSync } from 'node:fs'
import path from 'node:path'

/** Compiled specs below `build/`; with `wanted` (parts of source or compiled paths) only those that match one. */
export function specFiles(wanted: readonly string[] = []): string[] {
  const parts = wanted.map(part => part.replace(/^(\.\/)?(build\/)?/, '').replace(/\.(ts|js)$/, ''))
  return readdirSync('build', { recursive: true, encoding: 'utf8' })
    .filter(file => file.endsWith('.spec.js'))
    .filter(file => parts.length === 0 || parts.some(part => file.includes(part)))
    .map(file => path.join('build', file))
    .sort()
}

/** Specs that need nothing but the code: no servers, no other processes of ours. */
export function isUnit(file: string): boolean {
  return !file.endsWith('.int.spec.js') && !/^build\/test\/(e2e|crash)\//.test(file)
}
