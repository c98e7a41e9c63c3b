import { mark } from '../../text.ts'
import { isSecretFile, resolvePath } from '../paths.ts'
import { emitFact } from '../report.ts'
import type { Call } from '../walk-types.ts'

const senders = new Set([
  'curl',
  'wget',
  'nc',
  'ncat',
  'netcat',
  'socat',
  'ftp',
  'tftp',
  'telnet',
  'mail',
  'mailx',
  'sendmail',
  'mutt',
  'http',
  'https',
  'aws',
  'gsutil',
  'rclone',
  'scp',
  'sftp',
  'rsync',
  'nslookup',
  'dig',
  'host',
  'ping',
  'curlftpfs',
  'openssl',
  'ssh',
])
const listens = new Set(['nc', 'ncat', 'netcat', 'nc.traditional', 'nc.openbsd'])
const shells = /(^|[/\s,:"'])(ba|da|z|k|a)?sh(\s|,|$|")|cmd\.exe|powershell/

/** Secrets that leave the machine, and shells tied to a socket. */
export function looksForSecrets(call: Call, readsSecret: boolean): boolean {
  const { verb, args, walk, applied } = call
  rememberDownload(call)
  if (tiesShell(call)) {
    emitFact(call, { effect: 'reverse-shell' })
    return true
  }
  const leaves = senders.has(verb) || applied.tcp
  const carried =
    walk.stdin.secret ||
    (applied.tcp && readsSecret) ||
    args.some(arg => arg.includes(mark.secret) || carriesFile(arg, call))
  if (!leaves || !carried) return false
  emitFact(call, { effect: 'exfiltrate' })
  return true
}

// `curl -o x …; sh x` is `curl … | sh` with a stop on the way.
function rememberDownload({ verb, args, walk, applied }: Call): void {
  if (verb !== 'curl' && verb !== 'wget') return
  const named = args.flatMap((arg, index) =>
    /^(-o|-O|--output|--output-document)$/.test(arg)
      ? [args[index + 1] ?? '']
      : (/^--output(?:-document)?=(.+)$/.exec(arg)?.[1] ?? []),
  )
  const last = args
    .filter(arg => /^https?:\/\//.test(arg))
    .map(url => url.replace(/[?#].*$/, '').slice(url.lastIndexOf('/') + 1))
  const own = verb === 'wget' || args.some(arg => /^-\w*O|^--remote-name/.test(arg)) ? last : []
  for (const file of [...named, ...applied.written, ...own])
    if (file !== '' && file !== '-') walk.state.downloaded.add(resolvePath(file, walk.state.cwd))
}

function tiesShell({ verb, args, applied }: Call): boolean {
  if (listens.has(verb))
    return args.some(
      (arg, index) =>
        (/^-\w*[ec]$|^--(exec|sh-exec)$/.test(arg) && shells.test(args[index + 1] ?? '')) || /^--(sh-)?exec=/.test(arg),
    )
  if (verb === 'socat')
    return (
      args.some(arg => /^(exec|system):/i.test(arg) && shells.test(arg)) &&
      args.some(arg => /(tcp|udp|openssl|ssl|sctp)\d?(-\w+)?:/i.test(arg))
    )
  return applied.tcp && verb === 'exec'
}

// `-d @file`, `-F x=@file`, `-T file`, `--post-file=file`, `file host:`.
function carriesFile(arg: string, { verb, walk, args }: Call): boolean {
  const named = /(?:^|=)@(.+)$/.exec(arg)?.[1] ?? /^--(?:post|body|upload)-file=(.+)$/.exec(arg)?.[1] ?? arg
  if (verb === 'ssh' || verb === 'openssl') return false
  if (/^(scp|sftp|rsync|aws|gsutil|rclone)$/.test(verb) && args[args.indexOf(arg) - 1] === '-i') return false
  if (verb === 'curl' && named === arg && !/^(-T|--upload-file)$/.test(args[args.indexOf(arg) - 1] ?? '')) return false
  return args.at(-1) !== arg && isSecretFile(named, walk.state.cwd)
    ? true
    : verb === 'curl' && named !== arg && isSecretFile(named, walk.state.cwd)
}
