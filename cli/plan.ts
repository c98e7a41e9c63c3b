import { plain } from './output.ts'

type Finding = { stepId: string; environment?: string; rule: string; decision: string; reason: string }
type Step = {
  stepId: string
  phase?: string
  does: string
  text?: string
  stdin?: string
  why?: string
  verdict?: { decision: string; rule: string | null; reason: string }
}
/** What a trigger with mode plan is answered with, as far as people are shown it. */
export type Plan = {
  jobName: string
  jobVersion: number
  targets: number
  steps: Array<{ id: string; gate?: boolean; skipped?: string }>
  allowed: boolean
  confirmationNeeded: Finding[]
  denied: Finding[]
  targetRuns: Array<{ targetName: string; steps: Step[] }>
  more: number
}

/** A plan for people: what stands in the way, then each distinct list of steps once, with the targets that go through it. */
export function planText(plan: Plan): string {
  const { jobName, jobVersion, targets, denied, confirmationNeeded, more } = plan
  const machines = `${targets} ${targets === 1 ? 'target' : 'targets'}`
  return plain(
    [
      `${jobName} v${jobVersion} on ${machines}: ${outcome(plan)}`,
      ...plan.steps
        .filter(step => step.gate && step.skipped)
        .map(({ id }) => `  ${id}: counts as done, nobody is asked`),
      ...[...denied, ...confirmationNeeded].map(findingText),
      ...[...alike(plan)].flatMap(([names, steps]) => ['', names, ...steps.flatMap(stepText)]),
      ...(more > 0 ? ['', `… and ${more} more`] : []),
    ].join('\n'),
  )
}

function outcome({ allowed, denied, confirmationNeeded }: Plan): string {
  if (denied.length > 0) return 'would be refused'
  if (!allowed) return 'would have to be confirmed with --confirm'
  return confirmationNeeded.length > 0 ? 'would run, confirmed' : 'would run'
}

const findingText = ({ decision, rule, environment, stepId, reason }: Finding) =>
  `  ${decision.padEnd(7)} ${rule}, step ${stepId}${environment ? ` in ${environment}` : ''}: ${reason}`

function alike({ targetRuns }: Plan): Map<string, Step[]> {
  const groups = new Map<string, { names: string[]; steps: Step[] }>()
  for (const { targetName, steps } of targetRuns) {
    const key = JSON.stringify(steps)
    const group = groups.get(key) ?? { names: [], steps }
    groups.set(key, { ...group, names: [...group.names, targetName] })
  }
  return new Map([...groups.values()].map(({ names, steps }) => [names.join(', '), steps]))
}

function stepText(step: Step): string[] {
  const { stepId, phase, verdict, text, stdin } = step
  const when = phase === 'handler' ? ' (after a failure)' : ''
  const judged = verdict?.rule ? ` [${verdict.decision}: ${verdict.rule}]` : ''
  const lines = [...(text?.split('\n') ?? []), ...(stdin === undefined ? [] : [`< ${stdin}`])]
  return [`  ${stepId}${when}${remark(step)}${judged}`, ...lines.map(line => `      ${line}`)]
}

const skipped: Readonly<Record<string, string>> = {
  'not-selected': ': not on this target',
  'before-first-step': ': counts as done',
}

function remark({ does, why = '' }: Step): string {
  switch (does) {
    case 'skipped':
      return skipped[why] ?? ': left out, its condition is false'
    case 'may-run':
      return `: perhaps, it ${why}`
    case 'known-later':
      return `: known later, it ${why}`
    case 'fails':
      return `: cannot be done: ${why}`
    default:
      return ''
  }
}
