import { existsSync, readFileSync } from 'node:fs'

/** One time a step really ran on a target, told by the command itself. `at` in milliseconds of the wall clock. */
export type Effect = { token: string; step: string; address: string; at: number }

/**
 * A command that first writes down, on the disk and beside everything that is tested, that it runs; then takes
 * `seconds`. One short line in one write, at the end of the file, so that lines never mix.
 */
export function effectCommand(file: string, token: string, step: string, seconds: number): string {
  const line = `${token} ${step} \${SSH_CONNECTION} $$ $(date +%s%N)`
  return `echo "${line}" >> ${file}; sync -d ${file}; echo done; sleep ${seconds.toFixed(2)}`
}

/** How often the step took effect on this target, as a shell word. */
const times = (file: string, token: string, step: string) =>
  `$(set -- $SSH_CONNECTION; grep -c "^${token} ${step} [^ ]* [^ ]* $3 " ${file})`

/** Exit code 0 when it did, 1 when it did not: the truth, from the ledger. */
export const checkCommand = (file: string, token: string, step: string) => `test ${times(file, token, step)} -gt 0`

/** Takes effect, and fails the first time. */
export const flakyCommand = (file: string, token: string, step: string, seconds: number) =>
  `${effectCommand(file, token, step, seconds)}; test ${times(file, token, step)} -gt 1`

/** SSH_CONNECTION is `client port server port` (ssh(1)): the server's address tells the target. */
export function readEffects(file: string): Effect[] {
  if (!existsSync(file)) return []
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map(line => {
      const [token = '', step = '', , , address = '', , , nanoseconds = '0'] = line.split(' ')
      return { token, step, address, at: Number(BigInt(nanoseconds) / 1_000_000n) }
    })
}
