import { checkCommand, effectCommand, flakyCommand } from './effects.ts'
import type { Random } from './random.ts'

/** Steps whose author says that running them twice does no harm. */
export const idempotentSteps: ReadonlySet<string> = new Set(['again', 'after'])
/** Steps that take no effect anybody could see. */
export const silentSteps: ReadonlySet<string> = new Set(['pause'])

type Shape = (make: Maker) => object
type Maker = {
  step(id: string, more?: object): object
  effect(id: string): { uses: 'ssh.command'; with: { command: string } }
  flaky(id: string): object
  check(id: string): string
}

const pause = { id: 'pause', uses: 'wait.time', with: { seconds: 0.5 } }

const shapes: readonly Shape[] = [
  ({ step }) => ({ steps: [step('first'), step('again'), step('last')] }),
  ({ step, flaky }) => ({ steps: [step('first'), flaky('flaky'), step('after')], access: 'shared' }),
  ({ step, check }) => ({ steps: [step('checked', { check: check('checked') }), pause, step('last')] }),
  ({ step, effect }) => ({
    steps: [step('prepared', { undo: effect('prepared.undo') }), step('failing', failing(effect('failing')))],
    onFailure: [step('handler')],
  }),
  ({ step }) => ({
    steps: [
      step('first', { outputs: { said: { as: 'text' } } }),
      step('last', { if: 'steps.first.outputs.said.contains("done")' }),
    ],
    strategy: { batches: [1, '50%'] },
    access: 'shared',
  }),
  ({ step, check }) => ({
    steps: [step('first'), step('checked', { check: check('checked') }), step('again')],
    strategy: { pace: 'linear' },
    access: 'shared',
  }),
]

const failing = ({ with: { command } }: { with: { command: string } }) => ({ with: { command: `${command}; false` } })

/** A definition of one shape or another whose steps write `token` into the file of effects. */
export function someJob(random: Random, file: string, token: string): object {
  const seconds = () => random.between(0, 0.8)
  const effect: Maker['effect'] = id => ({
    uses: 'ssh.command',
    with: { command: effectCommand(file, token, id, seconds()) },
  })
  return random.pick(shapes)({
    effect,
    step: (id, more = {}) => ({ id, ...effect(id), idempotent: idempotentSteps.has(id), ...more }),
    flaky: id => ({
      ...{ id, uses: 'ssh.command', with: { command: flakyCommand(file, token, id, seconds()) } },
      retry: { attempts: 4, delaySeconds: 0.2 },
    }),
    check: id => checkCommand(file, token, id),
  })
}
