import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { programOrSkip } from './packages.ts'

type Test = { teardown(handler: () => void): unknown; plan(n: number, comment?: string): void }

export const sudoUser = 'opsc-spec'
export const sudoPassword = 'correct horse 9'
/** SHA-512 crypt of that password. */
const HASH = '$6$opscspec$O.5UM3x.IhV0HFTLUXW/CTP8ByHCP9oxHZbt7yfU/1hsRLE7YQgBzDphcpT7XYtoK0Ato683FLleo6KdiaBlc.'
const UID = 64_321

export type SudoHost = {
  /** Words that run a command where that user exists and the given sudoers file holds. */
  within: string[]
  /** Takes effect at once. */
  sudoers(lines: string[]): void
}

/**
 * A machine, to what runs in it, with a user of its own who may use sudo: files bound over those of /etc in a mount
 * namespace, so that nothing of the real machine changes. Undefined, with the test skipped, where that cannot be had.
 */
export function sudoHostOrSkip(t: Test): SudoHost | undefined {
  if (!programOrSkip(t, 'openssh-server') || !programOrSkip(t, 'sudo')) return undefined
  if (!mayMount()) {
    t.plan(0, 'needs root and mount namespaces')
    return undefined
  }
  const folder = mkdtempSync(path.join(tmpdir(), 'opsc-sudo-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  chmodSync(folder, 0o755)
  const file = (name: string) => path.join(folder, name)
  const home = file('home')
  mkdirSync(home)
  chownSync(home, UID, UID)
  const add = (name: string, line: string, mode: number) =>
    writeFileSync(file(name), `${readFileSync(`/etc/${name}`, 'utf8').trimEnd()}\n${line}\n`, { mode })
  add('passwd', `${sudoUser}:x:${UID}:${UID}::${home}:/bin/sh`, 0o644)
  add('group', `${sudoUser}:x:${UID}:`, 0o644)
  add('shadow', `${sudoUser}:${HASH}:20000:0:99999:7:::`, 0o600)
  const sudoers = (lines: string[]) => {
    // In place: another file would not be the one that is bound.
    writeFileSync(file('sudoers'), `${['Defaults lecture=never', ...lines].join('\n')}\n`)
  }
  sudoers([])
  chmodSync(file('sudoers'), 0o440)
  const names = ['passwd', 'group', 'shadow', 'sudoers']
  const bind = names.map(name => `mount --bind '${file(name)}' /etc/${name}`).join(' && ')
  const script = `${bind} && mkdir -p /run/sudo && mount -t tmpfs tmpfs /run/sudo && exec "$@"`
  return { within: ['unshare', '--mount', '--propagation', 'private', '/bin/sh', '-c', script, 'sh'], sudoers }
}

function mayMount(): boolean {
  try {
    execFileSync('unshare', ['--mount', '--propagation', 'private', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], {
      stdio: 'ignore',
    })
    return process.getuid?.() === 0
  } catch {
    return false
  }
}
