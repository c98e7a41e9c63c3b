import { commandText, type StepText, stepText } from '../../infra/safety/step-text.ts'
import type { Finding, Verdicts } from '../../infra/safety/verdicts.ts'
import type { Definition } from '../../schemas/job.ts'
import type { Problem } from '../../schemas/problems.ts'
import type { Action, Step } from '../../schemas/steps/index.ts'
import { type Preview, TemplateError } from '../domain/workflow/index.ts'
import { compileShell } from '../domain/workflow/shell.ts'
import { mapTemplates } from '../domain/workflow/templates-of.ts'

type Complaint = NonNullable<Problem['errors']>[number]
type Place = { path: string; text: StepText }

/** Commands that are refused wherever they are run; what stands for a value may be anything. */
export async function deniedCommands(verdicts: Verdicts, definition: Definition): Promise<Complaint[]> {
  const { steps, onFailure = [] } = definition
  const places = [...placesIn('steps', steps), ...placesIn('onFailure', onFailure)]
  const judged = await Promise.all(
    places.map(async ({ path, text }) => {
      const findings = await verdicts.findings(text, {})
      const denied = findings.filter(({ decision }) => decision === 'deny')
      return denied.map(({ rule, reason }) => ({ path, message: `${rule}: ${reason}` }))
    }),
  )
  return judged.flat()
}

/** What speaks against a step of a run, as far as its commands are known by now. */
export async function findingsAgainst(
  verdicts: Verdicts,
  preview: Preview,
  setting: { environment: string | undefined; targets: number },
): Promise<Finding[]> {
  switch (preview.kind) {
    case 'rendered': {
      const { action, variables, check, stdinCredentialId } = preview.step
      const own = stepText(action, variables, stdinCredentialId !== undefined)
      const texts = [own, check === undefined ? undefined : commandText(check)]
      return await findingsOf(verdicts, texts, setting)
    }
    case 'unknown': {
      const { unit } = preview
      const check = unit.phase === 'undo' ? undefined : unit.step.check
      const texts = [openText(unit.action), check === undefined ? undefined : openCommand(check)]
      // The executor judges what it turns out to be; until then a person may say that it is meant.
      return (await findingsOf(verdicts, texts, setting)).map(found => ({ ...found, decision: 'confirm' }))
    }
    case 'skipped':
    case 'gate':
    case 'impossible':
      return []
  }
}

async function findingsOf(verdicts: Verdicts, texts: ReadonlyArray<StepText | undefined>, setting: object) {
  const found: Finding[] = []
  for (const text of texts)
    for (const finding of text ? await verdicts.findings(text, setting) : [])
      if (!found.some(({ rule }) => rule === finding.rule)) found.push(finding)
  return found
}

function placesIn(list: 'steps' | 'onFailure', steps: readonly Step[]): Place[] {
  return steps.flatMap((step, i) => {
    const path = `${list}.${i}`
    const undo = 'undo' in step ? step.undo : undefined
    return [
      ...placeOf(path, step),
      ...(undo ? placeOf(`${path}.undo`, undo) : []),
      ...(step.check === undefined ? [] : place(`${path}.check`, openCommand(step.check))),
    ]
  })
}

const placeOf = (path: string, action: Action | Step) => place(`${path}.${fieldOf(action)}`, openText(action))
const place = (path: string, text: StepText | undefined): Place[] => (text ? [{ path, text }] : [])

function fieldOf({ uses }: Action | Step): string {
  if (uses === 'ssh.script') return 'with.script'
  return uses === 'wait.until' ? 'with.probe.command' : 'with.command'
}

/** With a variable that is set nowhere in the place of every value; undefined for what cannot be read. */
function openText(action: Action | Step): StepText | undefined {
  try {
    return stepText(withoutOpenValues(mapTemplates(action, ({ kind, text }) => (kind === 'shell' ? open(text) : text))))
  } catch (error) {
    if (error instanceof TemplateError) return undefined
    throw error
  }
}

function openCommand(command: string): StepText | undefined {
  return openText({ uses: 'ssh.command', with: { command } })
}

const open = (text: string) => compileShell(text).command

/** Arguments and input that hold an expression are not constants. */
function withoutOpenValues(action: Action | Step): Action | Step {
  if (action.uses === 'ssh.script' && action.with.arguments.some(isOpen))
    return { ...action, with: { ...action.with, arguments: [] } }
  if (action.uses !== 'ssh.command' || !isOpen(action.with.stdin ?? '')) return action
  const { stdin: _, ...rest } = action.with
  return { ...action, with: rest }
}

const isOpen = (text: string) => text.includes('${{')
