import { serviceKind } from '../service-kinds.ts'
import { isOpen, mark } from '../text.ts'
import { powershellCode } from './powershell-line.ts'
import { emitWindows, reportWindowsPaths, type WindowsCall } from './report.ts'

/** Programs of Windows, the same from cmd and from PowerShell. Answers false for one that is not known here. */
type Native = (call: WindowsCall) => void

const switches = (args: readonly string[]) => args.filter(arg => arg.startsWith('/')).map(arg => arg.toLowerCase())
const words = (args: readonly string[]) => args.filter(arg => !/^\/[A-Za-z?]/.test(arg))
const given = (args: readonly string[], ...names: string[]) =>
  switches(args).some(arg => names.some(name => arg === name || arg.startsWith(`${name}:`)))

const natives = new Map<string, Native>([
  ['format', format],
  ['takeown', ownership],
  ['icacls', permissions],
  ['cacls', permissions],
  ['xcacls', permissions],
  ['robocopy', robocopy],
  ['cipher', cipher],
  ['reg', registry],
  ['sc', serviceControl],
  ['net', net],
  ['net1', net],
  ['taskkill', taskkill],
  ['cmd', runCmd],
  ['powershell', runPowershell],
  ['pwsh', runPowershell],
  ['bash', runPosix],
  ['sh', runPosix],
  ['wsl', runWsl],
  ['psexec', runRest('cmd')],
  ['psexec64', runRest('cmd')],
  ['runas', runRest('cmd')],
  ['start', runRest('cmd')],
  ['gsudo', runRest('cmd')],
  ['sudo', runRest('cmd')],
  ['forfiles', forfiles],
  ['schtasks', scheduled],
  ['wmic', wmic],
  ['mshta', hidden],
  ['regsvr32', hidden],
  ['certutil', download],
  ['bitsadmin', download],
])

export function judgeNative(call: WindowsCall): boolean {
  const native = natives.get(call.verb)
  native?.(call)
  return native !== undefined
}

/** Text of another shell inside; it is judged later. */
export function push(call: WindowsCall, shell: 'posix' | 'cmd' | 'powershell', text: string): void {
  const { session, scope, verb } = call
  session.later.push({
    shell,
    text,
    scope: {
      ...scope,
      depth: scope.depth + 1,
      via: [...scope.via, verb],
      cwd: shell === 'posix' ? mark.cwd : scope.cwd,
    },
  })
}

function format(call: WindowsCall): void {
  const drives = call.args.filter(arg => /^[A-Za-z]:\\?$|Volume\{|^[\uE000-\uE00A]/.test(arg))
  if (drives.length === 0) emitWindows(call, {})
  else emitWindows(call, { effect: 'format', targets: drives, kinds: ['disk'] })
}

function ownership(call: WindowsCall): void {
  const at = call.args.findIndex(arg => arg.toLowerCase() === '/f')
  reportWindowsPaths(call, 'owner', at < 0 ? [] : [call.args[at + 1] ?? ''], { recursive: given(call.args, '/r') })
}

function permissions(call: WindowsCall): void {
  const [path = ''] = words(call.args)
  const changes = given(
    call.args,
    '/grant',
    '/deny',
    '/reset',
    '/remove',
    '/setowner',
    '/inheritance',
    '/g',
    '/p',
    '/d',
    '/restore',
    '/grant:r',
  )
  if (!changes) {
    emitWindows(call, {})
    return
  }
  const opens = call.args.some(arg =>
    /^"?\*?(Everyone|S-1-1-0|Users|Jeder|BUILTIN\\Users|Authenticated Users)"?:.*[FMW]/i.test(arg),
  )
  reportWindowsPaths(call, opens ? 'world-writable' : 'permissions', [path], {
    recursive: given(call.args, '/t'),
    force: given(call.args, '/deny', '/remove', '/reset', '/inheritance'),
  })
}

function robocopy(call: WindowsCall): void {
  const [, to = ''] = words(call.args)
  if (!given(call.args, '/mir', '/purge', '/move') || given(call.args, '/l')) {
    emitWindows(call, {})
    return
  }
  reportWindowsPaths(call, 'delete', [to], { recursive: true })
}

function cipher(call: WindowsCall): void {
  const wipes = call.args.filter(arg => /^\/w/i.test(arg))
  if (wipes.length > 0)
    emitWindows(call, { effect: 'wipe', targets: wipes.map(arg => arg.slice(3)), kinds: ['unknown'] })
  else emitWindows(call, {})
}

function registry(call: WindowsCall): void {
  const [action = '', key = ''] = words(call.args)
  const whole = !given(call.args, '/v', '/ve')
  if (/^delete$/i.test(action))
    reportWindowsPaths(call, 'delete', [key], { recursive: whole, force: given(call.args, '/f') })
  else if (
    /^(add|import|restore|load)$/i.test(action) &&
    /DisableAntiSpyware|DisableRealtimeMonitoring|EnableLUA|DisableTaskMgr|fDenyTSConnections|LocalAccountTokenFilterPolicy|Image File Execution|Winlogon/i.test(
      call.args.join(' '),
    )
  )
    emitWindows(call, { effect: 'security-off', targets: [key] })
  else if (/^(save|export)$/i.test(action) && /^(HKLM|HKEY_LOCAL_MACHINE)\\(SAM|SECURITY)/i.test(key))
    emitWindows(call, { effect: 'exfiltrate', targets: [key] })
  else emitWindows(call, {})
}

function serviceControl(call: WindowsCall): void {
  const rest = words(call.args).filter(arg => !arg.startsWith('\\\\'))
  const [action = '', name = ''] = rest
  const disables = /^config$/i.test(action) && rest.some(word => /^disabled$/i.test(word))
  if (!disables && !/^(stop|delete|pause)$/i.test(action)) {
    emitWindows(call, {})
    return
  }
  emitWindows(call, {
    effect: 'service-stop',
    targets: [name],
    kinds: [serviceKind(name)],
    force: /^delete$/i.test(action),
  })
}

function net(call: WindowsCall): void {
  const [what = '', name = ''] = words(call.args)
  const rest = { targets: [name] }
  if (/^stop$/i.test(what)) emitWindows(call, { ...rest, effect: 'service-stop', kinds: [serviceKind(name)] })
  else if (
    /^(user|group|localgroup|accounts)$/i.test(what) &&
    (given(call.args, '/delete', '/del', '/active') ||
      (call.args.length > 2 && /^user$/i.test(what) && !given(call.args, '/domain', '/add')))
  )
    emitWindows(call, { ...rest, effect: 'account-delete' })
  else if (/^(localgroup|group)$/i.test(what) && given(call.args, '/add') && /admin/i.test(name))
    emitWindows(call, { ...rest, effect: 'account-delete' })
  else emitWindows(call, {})
}

const vital = /^(lsass|csrss|wininit|winlogon|services|svchost|smss|system|explorer|dwm|lsm|spoolsv|sshd)(\.exe)?$/i

function taskkill(call: WindowsCall): void {
  const names = call.args.filter((_, index) => /^\/(im|pid|fi)$/i.test(call.args[index - 1] ?? ''))
  const all = names.some(name => name === '*' || isOpen(name) || /ne |gt 0/i.test(name))
  const kinds = names.map(name => (vital.test(name) ? 'lifeline-service' : serviceKind(name.replace(/\.exe$/i, ''))))
  emitWindows(call, { effect: all ? 'kill-all' : 'kill', targets: names, kinds, force: given(call.args, '/f') })
}

function runCmd(call: WindowsCall): void {
  const at = call.args.findIndex(arg => /^\/[ckr]/i.test(arg))
  if (at < 0) {
    emitWindows(call, {})
    return
  }
  const attached = (call.args[at] ?? '').slice(2)
  push(call, 'cmd', [attached, ...call.args.slice(at + 1)].filter(word => word !== '').join(' '))
}

function runPowershell(call: WindowsCall): void {
  const { code } = powershellCode(call.args)
  if (code === null) emitWindows(call, {})
  else push(call, 'powershell', code)
}

const quoted = (word: string) => `'${word.replaceAll("'", `'\\''`)}'`

function runPosix(call: WindowsCall): void {
  push(call, 'posix', [call.verb, ...call.args.map(quoted)].join(' '))
}

function runWsl(call: WindowsCall): void {
  const at = call.args.findIndex(
    (arg, index) => !arg.startsWith('-') && !/^(-d|-u|--distribution|--user|--cd)$/.test(call.args[index - 1] ?? ''),
  )
  if (call.args.some(arg => /^--(unregister|shutdown|terminate)$/.test(arg)))
    emitWindows(call, { effect: call.args.includes('--unregister') ? 'drop-database' : 'power' })
  else if (at >= 0) push(call, 'posix', call.args.slice(at).join(' '))
}

// `start`, `runas`, `psexec`: options first, then the program with its own.
function runRest(shell: 'cmd'): Native {
  return call => {
    const at = call.args.findIndex(
      (arg, index) =>
        !/^[/-]/.test(arg) &&
        !arg.startsWith('\\\\') &&
        !/^(-u|-p|-w|\/d)$/i.test(call.args[index - 1] ?? '') &&
        !(index === 0 && call.verb === 'start' && / |^$/.test(arg)),
    )
    if (at >= 0) push(call, shell, call.args.slice(at).join(' '))
  }
}

function forfiles(call: WindowsCall): void {
  const at = call.args.findIndex(arg => /^[/-]c$/i.test(arg))
  const from = call.args.findIndex(arg => /^[/-]p$/i.test(arg))
  const where = from < 0 ? mark.cwd : (call.args[from + 1] ?? '')
  if (at >= 0)
    push(
      call,
      'cmd',
      (call.args[at + 1] ?? '').replace(/@(path|file|fname)/gi, () => `${where}\\${mark.some}`),
    )
}

function scheduled(call: WindowsCall): void {
  const at = call.args.findIndex(arg => /^\/tr$/i.test(arg))
  if (at >= 0) push(call, 'cmd', call.args[at + 1] ?? '')
  emitWindows(call, {})
}

function wmic(call: WindowsCall): void {
  const line = call.args.join(' ')
  const created = /\bprocess\b.*\bcall\s+create\s+["']?(.*?)["']?$/i.exec(line)
  if (created) push(call, 'cmd', created[1] ?? '')
  if (/shadowcopy.*delete/i.test(line)) emitWindows(call, { effect: 'wipe', targets: ['shadowcopy'], kinds: ['disk'] })
  else if (/\b(delete|uninstall|reboot|shutdown|win32shutdown|terminate)\b/i.test(line))
    emitWindows(call, {
      effect: /reboot|shutdown/i.test(line) ? 'power' : 'kill',
      targets: [line],
      kinds: ['any-service'],
    })
  else emitWindows(call, {})
}

function hidden(call: WindowsCall): void {
  const remote = call.args.some(arg => /https?:|javascript:|vbscript:|scrobj/i.test(arg))
  emitWindows(call, { effect: remote ? 'remote-code' : null })
}

// certutil is made for certificates; fetching with it is a way around what watches downloads.
function download(call: WindowsCall): void {
  const fetches = call.verb === 'certutil' && call.args.some(arg => /^[/-](urlcache|verifyctl)$/i.test(arg))
  emitWindows(call, { effect: fetches && call.args.some(arg => /^https?:/i.test(arg)) ? 'remote-code' : null })
}
