import { mark } from '../text.ts'
import type { Walk } from './walk-types.ts'

/** `$1`, `$@` and so on, for a function or `sh -c text name args…`. */
export function bindArguments({ state: { vars } }: Walk, name: string, args: readonly string[]): void {
  vars.set('0', [name])
  for (let at = 1; at <= 9; at += 1) vars.set(String(at), [args[at - 1] ?? ''])
  vars.set('@', [args.join(mark.split)])
  vars.set('*', [args.join(mark.split)])
}
