import { FIRST_LOGIN_NAME } from './first-administrator.ts'

export type Welcome = {
  url: string | undefined
  dataDir: string
  seconds: number
  key: string | undefined
  /** By which the first administrator sets a passphrase. */
  link?: string | undefined
}

/** What the terminal shows when the system is ready: where it is, what to do next, and a new key this one time. */
export function welcome({ url, dataDir, seconds, key, link }: Welcome): string {
  const lines = ['', `OpsConductor is ready after ${seconds.toFixed(1)} s.`, '']
  if (url) lines.push(`  API and documentation  ${url}/docs`)
  lines.push(`  data                   ${dataDir}`, '  stop                   Ctrl-C', '')
  if (key) lines.push(...framed(['Administrator API key: shown this once, only its hash is kept.', '', key]), '')
  if (link) {
    const about = `First administrator: login name ${FIRST_LOGIN_NAME}, passphrase of your choice by this link, once:`
    lines.push(...framed([about, '', link, '', 'npx opsconductor login --link   asks for it']), '')
  }
  if (url) {
    const use = key ?? '<your key>'
    lines.push('  Next, in another terminal:', `    export OPSCONDUCTOR_URL=${url} OPSCONDUCTOR_API_KEY=${use}`)
    lines.push('    npx opsconductor --help', '')
  }
  return lines.join('\n')
}

function framed(lines: string[]): string[] {
  const width = Math.max(...lines.map(line => line.length))
  const bar = '─'.repeat(width + 2)
  return [`  ┌${bar}┐`, ...lines.map(line => `  │ ${line.padEnd(width)} │`), `  └${bar}┘`]
}
