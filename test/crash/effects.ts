import { existsSync, readFileSync } from 'node:fs'

/** One time a step really ran on a target, told by the command itself. */
export type Effect = { token: string; step: string; address: string }

/**
 * A command that first writes down, on the disk and beside everything that is tested, that it runs; then takes
 * `seconds`. One short line in one write, at the end of the file, so that lines never mix.
 */
export function effectCommand(file: string, token: string, step: string, seconds: number): string {
  const line = `${token} ${step} \${SSH_CONNECTION} $$ $(date +%s%N)`
  return `echo "${line}" >> ${file}; sync -d ${file}; echo done; sleep ${seconds.toFixed(2)}`
}

/** SSH_CONNECTION is `client port server port` (ssh(1)): the server's address tells the target. */
export function readEffects(file: string): Effect[] {
  if (!existsSync(file)) return []
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map(line => {
      const [token = '', step = '', , , address = ''] = line.split(' ')
      return { token, step, address }
    })
}
