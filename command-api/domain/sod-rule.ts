import { streams } from '../../schemas/events.ts'
import { builtInSodRule, type SodRuleCommand, type SodRuleEvent, type SodRuleRow } from '../../schemas/sod.ts'
import { type Decider, DomainError } from './decider.ts'

type Content = Pick<SodRuleRow, 'mode' | 'conflict' | 'targets' | 'description'>
/** `absent` is also a built-in rule that nobody has touched. */
export type SodRule = { status: 'absent' } | ({ status: 'active' | 'retired' } & Content)
type DataOf<T extends SodRuleCommand['type']> = Extract<SodRuleCommand, { type: T }>['data']

export const sodRule: Decider<SodRule, SodRuleCommand, SodRuleEvent, undefined> = {
  category: 'sodrule',
  streamOf: data => streams.sodRule(data.rule),
  initial: { status: 'absent' },
  evolve,
  decide(command, state) {
    const { rule } = command.data
    if (command.type === 'define-sod-rule') return define(command.data, state)
    const known = state.status === 'absent' ? builtInSodRule(rule) : state
    if (!known) throw new DomainError('sod-rule-not-found', `no rule ${rule}`)
    switch (command.type) {
      case 'change-sod-rule':
        return change(command.data, known)
      case 'retire-sod-rule':
        return known.status === 'retired' ? [] : [{ type: 'SodRuleRetired', data: command.data }]
    }
  },
}

function define(data: DataOf<'define-sod-rule'>, state: SodRule): SodRuleEvent[] {
  const { rule, mode, targets = null, description = null, conflict } = data
  if (state.status === 'absent' && !builtInSodRule(rule)) return [{ type: 'SodRuleDefined', data }]
  const same = state.status === 'active' && content(state) === content({ mode, targets, description, conflict })
  if (same) return []
  throw new DomainError('sod-rule-already-exists', `there is already a rule ${rule}`)
}

const content = ({ mode, targets, description, conflict }: Content) =>
  JSON.stringify([mode, targets, description, conflict])

function change(data: DataOf<'change-sod-rule'>, known: Content & { status: string }): SodRuleEvent[] {
  const { rule, reason, mode = known.mode } = data
  if (known.status === 'retired') throw new DomainError('sod-rule-retired', `the rule ${rule} is out of use`)
  const targets = data.targets === undefined ? known.targets : data.targets
  if (mode === known.mode && targets === known.targets) return []
  return [{ type: 'SodRuleChanged', data: { rule, mode, ...(targets !== null && { targets }), reason } }]
}

function evolve(state: SodRule, event: SodRuleEvent): SodRule {
  if (event.type === 'SodRuleDefined') {
    const { mode, conflict, targets = null, description = null } = event.data
    return { status: 'active', mode, conflict, targets, description }
  }
  const known = state.status === 'absent' ? builtInSodRule(event.data.rule) : state
  if (!known) return state
  const { mode, conflict, targets, description } = known
  switch (event.type) {
    case 'SodRuleChanged':
      return { status: 'active', conflict, description, mode: event.data.mode, targets: event.data.targets ?? null }
    case 'SodRuleRetired':
      return { status: 'retired', mode, conflict, targets, description }
  }
}
