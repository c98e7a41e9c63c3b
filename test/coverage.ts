import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { z } from 'zod'

const lines = z.object({ total: z.number(), covered: z.number() })
const summary = z.record(z.string(), z.object({ lines }))

export type FileCoverage = { file: string; total: number; covered: number }

/** Folders whose code is for testing and measuring, not for shipping. */
const NOT_SHIPPED = /^(test|bench|build|node_modules|ui|\.)/

/** Lines covered by the last run, for each shipped source; a file that no test ever loaded counts with none. */
export function measureCoverage(root: string): FileCoverage[] {
  const args = ['node_modules/.bin/tap', 'report', '--coverage-report=json-summary']
  spawnSync(process.execPath, args, { cwd: root, stdio: 'ignore' })
  const file = path.join(root, '.tap/report/coverage-summary.json')
  const measured = existsSync(file) ? summary.parse(JSON.parse(readFileSync(file, 'utf8'))) : {}
  const all = shippedSources(root).map(source => {
    const known = measured[path.join(root, source)]?.lines
    return { file: source, ...(known ?? { total: lineCount(path.join(root, source)), covered: 0 }) }
  })
  return all.filter(({ total }) => total > 0)
}

function shippedSources(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter(file => file.endsWith('.ts') && !file.endsWith('.spec.ts') && !NOT_SHIPPED.test(file))
    .filter(file => hasCode(path.join(root, 'build', file.replace(/\.ts$/, '.js'))))
    .sort()
}

// What holds nothing but types compiles to an empty module.
function hasCode(compiled: string): boolean {
  return existsSync(compiled) && !/^export \{\};\s*(\/\/#.*)?$/.test(readFileSync(compiled, 'utf8').trim())
}

function lineCount(file: string): number {
  return readFileSync(file, 'utf8').split('\n').length - 1
}

/** Percentage of lines covered; 100 of nothing. */
export function percent(files: readonly FileCoverage[]): number {
  const total = files.reduce((sum, file) => sum + file.total, 0)
  const covered = files.reduce((sum, file) => sum + file.covered, 0)
  return total === 0 ? 100 : (100 * covered) / total
}

/** A table: each top folder, below it its files under `threshold` percent, then everything together. */
export function coverageTable(files: readonly FileCoverage[], threshold: number): string[] {
  const row = (name: string, some: readonly FileCoverage[]) => `${percent(some).toFixed(1).padStart(6)} %  ${name}`
  const rows = [...new Set(files.map(topFolder))].flatMap(folder => {
    const inside = files.filter(file => topFolder(file) === folder)
    const low = inside.filter(file => percent([file]) < threshold)
    return [row(folder, inside), ...low.map(file => row(`  ${file.file}`, [file]))]
  })
  return ['Lines covered:', ...rows, row('all', files)]
}

function topFolder({ file }: FileCoverage): string {
  return file.includes('/') ? file.slice(0, file.indexOf('/')) : '.'
}
