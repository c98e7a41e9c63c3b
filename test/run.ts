import { coverageTable, measureCoverage, percent } from './coverage.ts'
import { specFiles } from './spec-files.ts'
import { installPackages } from './support/packages.ts'
import { runTap } from './tap-run.ts'
import { checkTypes } from './tool.ts'

const LINES_WANTED = 90

const say = (line: string) => console.log(line)

/**
 * `npm test [-- part-of-a-path …]`: every spec, or those named, and in a whole run the types. The last line says how many checks passed and failed;
 * the exit code is 0 only when something ran, nothing failed and (in a whole run) enough lines were covered.
 */
export async function main(wanted: string[]): Promise<void> {
  for (const name of installPackages(say)) say(`skipping what needs the Debian package ${name}: it is not installed`)
  const whole = wanted.length === 0
  const typed = whole ? reportTypes() : true
  const results = await runTap({ files: specFiles(wanted), coverage: whole, say })
  if (results.skipped.length > 0) say(`\n${results.skipped.length} skipped:`)
  for (const reason of results.skipped) say(`  ${reason}`)
  const covered = whole ? reportCoverage() : true
  const passed = results.passed + Number(whole && typed)
  const failed = results.failed + Number(!typed)
  process.exitCode = failed === 0 && passed > 0 && covered ? 0 : 1
  say(`\n${passed} passed, ${failed} failed`)
}

function reportTypes(): boolean {
  const { ok, detail } = checkTypes()
  say(ok ? 'ok     types' : `FAILED types\n${detail}`)
  return ok
}

function reportCoverage(): boolean {
  const files = measureCoverage(process.cwd())
  say('')
  for (const line of coverageTable(files, LINES_WANTED)) say(line)
  const enough = percent(files) >= LINES_WANTED
  if (!enough) say(`Fewer than ${LINES_WANTED} % of the lines are covered.`)
  return enough
}
