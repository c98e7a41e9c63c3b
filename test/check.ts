import { readdirSync } from 'node:fs'
import { z } from 'zod'
import { isUnit, specFiles } from './spec-files.ts'
import { runTap } from './tap-run.ts'
import { checkTypes, type Outcome, run, tool } from './tool.ts'

type Step = [name: string, act: () => Outcome | Promise<Outcome>]

const steps: Step[] = [
  ['types', checkTypes],
  ['lint and format', () => run('biome', 'ci', '--error-on-warnings', '.')],
  ['folder rules', folderRules],
  ['dead code', () => run('knip', '--no-progress')],
  ['unit specs', unitSpecs],
]

/** `npm run check`: everything that can be said without starting the system. Ends 1 when a step fails. */
export async function main(): Promise<void> {
  for (const [name, act] of steps) {
    const started = performance.now()
    const { ok, detail } = await act()
    const seconds = ((performance.now() - started) / 1000).toFixed(1)
    console.log(`${ok ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)${detail && `\n${detail}`}`)
    if (!ok) process.exitCode = 1
  }
}

const cruised = z.object({
  summary: z.object({
    violations: z.array(z.object({ from: z.string(), to: z.string(), rule: z.object({ name: z.string() }) })),
  }),
  modules: z.array(z.object({ source: z.string() })),
})

// A rule checker that finds no modules finds no violations either, so every source must be among those it looked at.
function folderRules(): Outcome {
  const { output } = tool('depcruise', '--config', '.dependency-cruiser.cjs', '--output-type', 'json', '.')
  const { summary, modules } = cruised.parse(JSON.parse(output))
  const seen = new Set(modules.map(({ source }) => source))
  const unseen = sources().filter(file => !seen.has(file))
  const broken = summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} → ${to}`)
  const problems = [...broken, ...unseen.map(file => `not looked at: ${file}`)]
  return { ok: problems.length === 0, detail: problems.join('\n') || `${modules.length} modules` }
}

function sources(): string[] {
  const outside = /^(node_modules|build|ui|\.)/
  const files = readdirSync('.', { recursive: true, encoding: 'utf8' })
  return files.filter(file => file.endsWith('.ts') && !outside.test(file))
}

async function unitSpecs(): Promise<Outcome> {
  const failures: string[] = []
  const say = (line: string) => line.startsWith('ok') || failures.push(line)
  const { passed, failed } = await runTap({ files: specFiles().filter(isUnit), coverage: false, say })
  return { ok: failed === 0 && passed > 0, detail: [...failures, `${passed} passed, ${failed} failed`].join('\n') }
}
