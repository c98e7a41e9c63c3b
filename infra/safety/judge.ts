import { bounds, createBudget } from './bounds.ts'
import { judgeCmd } from './cmd/walk.ts'
import { defaultRules } from './default-rules.ts'
import { type Fact, type Nested, note, type Scope, type Session, type Shell, showFact } from './facts.ts'
import { judgePosix } from './posix/judge.ts'
import { judgePowershell } from './powershell/walk.ts'
import { type Decision, decisionOf, type Rule, type RuleSet, ruleFits, type Setting, strictest } from './rules.ts'
import { mark, withoutMarks } from './text.ts'

export type Question = Setting & { shell: Shell; command: string; rules?: RuleSet }

/** `rule` and `reason` belong to the strictest rule that fits; null when none does. Facts may quote the command. */
export type Verdict = { decision: Decision; rule: string | null; reason: string; facts: Fact[] }

/**
 * Judges a command before it runs, without running, reading or resolving anything. Always answers: what is too large,
 * cannot be parsed or hides what it runs is at least `confirm`. A guard-rail for people, not a boundary against attackers.
 */
export async function judge({ shell, command, rules = defaultRules, ...setting }: Question): Promise<Verdict> {
  const facts = await factsOf(shell, command)
  const found = worst(facts, rules, setting)
  if (!found) return { decision: 'allow', rule: null, reason: 'No rule speaks against it.', facts: facts.map(showFact) }
  return { decision: found.decision, rule: found.rule.id, reason: found.rule.reason, facts: facts.map(showFact) }
}

/** Every rule that fits what the command does, wherever and on however many machines; the set's order. */
export async function fittingRules({
  shell,
  command,
  rules = defaultRules,
}: Omit<Question, keyof Setting>): Promise<Rule[]> {
  const facts = await factsOf(shell, command)
  return rules.rules.filter(rule => facts.some(fact => ruleFits(rule, fact)))
}

function worst(facts: Fact[], { rules }: RuleSet, setting: Setting): { rule: Rule; decision: Decision } | undefined {
  let found: { rule: Rule; decision: Decision } | undefined
  for (const rule of rules) {
    const decision = decisionOf(rule, setting)
    const stricter = !found || (decision !== found.decision && strictest(decision, found.decision) === decision)
    if (stricter && facts.some(fact => ruleFits(rule, fact))) found = { rule, decision }
  }
  return found
}

async function factsOf(shell: Shell, command: string): Promise<Fact[]> {
  const budget = createBudget()
  const scope: Scope = { cwd: mark.cwd, privileged: false, via: [], depth: 0 }
  const session: Session = { budget, facts: [], later: [] }
  if (command.length > bounds.input) budget.exceed('longer than is looked at')
  else session.later.push({ shell, text: withoutMarks(command), scope })
  while (session.later.length > 0 && !budget.exceeded) {
    const next = session.later.shift()
    if (next) await judgeText(next, session)
  }
  if (budget.exceeded) session.facts.push(boundFact(budget.exceeded, scope))
  return session.facts
}

function boundFact(what: string, scope: Scope): Fact {
  const session: Session = { budget: createBudget(), facts: [], later: [] }
  note(session, 'bound', what, scope)
  return session.facts[0] as Fact // note() has just put it there
}

async function judgeText({ shell, text, scope }: Nested, session: Session): Promise<void> {
  if (!session.budget.spend(scope.depth)) return
  try {
    if (shell === 'posix') return judgePosix(text, scope, session)
    if (shell === 'powershell') return await judgePowershell(text, scope, session)
    return judgeCmd(text, scope, session)
  } catch (error) {
    // A parser that fails on hostile text has not judged it; the engine's own limits (stack, memory) show here too.
    note(session, 'parse-error', error instanceof RangeError ? 'nested too deeply' : 'cannot be parsed', scope)
  }
}
