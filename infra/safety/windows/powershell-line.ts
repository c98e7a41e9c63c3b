/** What a command line of powershell.exe or pwsh runs. */
export type PowershellLine = {
  /** The code, or null when none is in the words. */
  code: string | null
  /** Code comes by the input. */
  readsInput: boolean
}

const valued = [
  'configurationname',
  'configurationfile',
  'custompipename',
  'executionpolicy',
  'ep',
  'inputformat',
  'outputformat',
  'if',
  'of',
  'psconsolefile',
  'settingsfile',
  'version',
  'windowstyle',
  'workingdirectory',
  'wd',
]
const plain = [
  'interactive',
  'login',
  'mta',
  'noexit',
  'nologo',
  'noninteractive',
  'noni',
  'noprofile',
  'nop',
  'nol',
  'sta',
  'noprofileloadtime',
  'sshservermode',
]
const cutShort = (name: string, full: string) => name.length > 0 && full.startsWith(name)

/** Parameters may be cut short and begin with `-`, `/` or a dash of any length. */
export function powershellCode(args: readonly string[]): PowershellLine {
  for (let at = 0; at < args.length; at += 1) {
    const arg = args[at] ?? ''
    const parameter = /^(?:--?|\/|[\u2013-\u2015])([A-Za-z]+)(?::(.*))?$/s.exec(arg)
    if (!parameter) return { code: args.slice(at).join(' '), readsInput: false }
    const name = (parameter[1] ?? '').toLowerCase()
    const rest = args.slice(at + 1)
    if (name === 'ec' || cutShort(name, 'encodedcommand')) return decoded(parameter[2] ?? rest[0] ?? '')
    if (cutShort(name, 'command') || name === 'commandwithargs' || name === 'cwa')
      return rest.join(' ') === '-' ? { code: null, readsInput: true } : { code: rest.join(' '), readsInput: false }
    if (cutShort(name, 'file')) return { code: null, readsInput: rest[0] === '-' }
    if (!plain.some(full => cutShort(name, full)) && valued.some(full => cutShort(name, full))) at += 1
  }
  return { code: null, readsInput: true }
}

function decoded(text: string): PowershellLine {
  return { code: Buffer.from(text, 'base64').toString('utf16le'), readsInput: false }
}
