import type { Kind } from '../facts.ts'
import { isOpen, mark } from '../text.ts'

export type JudgedPath = { path: string; kinds: Kind[] }

const systemFolders =
  /^(Windows|Windows\\(System32|SysWOW64|WinSxS|System|Boot|servicing|System32\\(drivers|config|spool|wbem|WindowsPowerShell|winevt|LogFiles))|Program Files( \(x86\))?|ProgramData|Users|Boot|EFI|Recovery|System Volume Information|Documents and Settings|PerfLogs|\$Recycle\.Bin|ProgramData\\Microsoft|ProgramData\\Microsoft\\Windows|inetpub|Program Files( \(x86\))?\\(Common Files|Windows Defender|WindowsApps))$/i
const systemFiles = /^(Windows|Boot|EFI|Recovery|Program Files( \(x86\))?|ProgramData\\Microsoft|inetpub)\\/i
const criticalFiles =
  /^(bootmgr|ntldr|boot\.ini|ntdetect\.com|BOOTNXT|Boot\\BCD|EFI\\.*\.efi|Windows\\explorer\.exe|Windows\\System32\\(ntoskrnl|hal|winload|lsass|csrss|smss|services|winlogon|wininit|svchost|kernel32|ntdll|user32|cmd|drivers\\[^\\]+|config\\(SAM|SYSTEM|SECURITY|SOFTWARE|DEFAULT)|winload\.\w+)(\.\w+)?)$/i
const guardedFiles =
  /^(Windows\\System32\\drivers\\etc\\|Windows\\System32\\(GroupPolicy|Tasks|sethc\.exe|utilman\.exe|osk\.exe)|ProgramData\\ssh\\|Windows\\(NTDS|SYSVOL)(\\|$))/i
const credentialFiles =
  /(\\\.ssh\\|\\\.aws\\|\\\.azure\\|\\\.kube\\|\\NTDS\\ntds\.dit|\\config\\(SAM|SECURITY)(\.|$)|\\Microsoft\\(Credentials|Protect|Vault)(\\|$)|\\id_(rsa|ed25519)$)/i
const temporaryRoots =
  /^(Temp|Tmp|Windows\\(Temp|Prefetch|SoftwareDistribution\\Download|Logs)|Users\\[^\\]+\\AppData\\Local\\Temp)(\\|$)/i
const logs = /^(Windows\\System32\\winevt(\\Logs)?|inetpub\\logs)(\\|$)/i
const shortNames: [RegExp, string][] = [
  [/^PROGRA~1(?=\\|$)/i, 'Program Files'],
  [/^PROGRA~2(?=\\|$)/i, 'Program Files (x86)'],
  [/^PROGRA~3(?=\\|$)/i, 'ProgramData'],
  [/^DOCUME~1(?=\\|$)/i, 'Documents and Settings'],
]
const hives: [RegExp, string][] = [
  [/^(HKEY_LOCAL_MACHINE|HKLM)(?=\\|$)/i, 'HKLM'],
  [/^(HKEY_CURRENT_USER|HKCU)(?=\\|$)/i, 'HKCU'],
  [/^(HKEY_CLASSES_ROOT|HKCR)(?=\\|$)/i, 'HKCR'],
  [/^(HKEY_USERS|HKU)(?=\\|$)/i, 'HKU'],
]

/** A path as Windows reads it: one spelling for drives, shares of drives, registry hives and short names. */
export function resolveWindowsPath(written: string, cwd: string): string {
  const path = written
    .replace(/^["']|["']$/g, '')
    .replaceAll('/', '\\')
    .replaceAll(/[\uE003]/g, '*')
    .replace(/^(Microsoft\.PowerShell\.Core\\)?(FileSystem|Registry)::/i, '')
    .replace(/^\\\\[?.]\\(?=[A-Z]:\\)/i, '')
    .replace(/^\\\\[^\\]+\\([A-Z])\$/i, '$1:')
    .replace(/^\\\\[^\\]+\\ADMIN\$/i, 'C:\\Windows')
  const hive = hives.find(([name]) => name.test(path.replace(/^(\w+):(?=\\|$)/, '$1')))
  if (hive) return tidy(path.replace(/^(\w+):(?=\\|$)/, '$1').replace(hive[0], hive[1]), 1)
  if (path.startsWith('\\\\')) return path
  if (/^[A-Z]:/i.test(path))
    return fullNames(tidy(path.slice(0, 2).toUpperCase() + (path[2] === '\\' ? '' : '\\') + path.slice(2), 1))
  if (path.startsWith('\\')) return fullNames(tidy((/^[A-Z]:/.test(cwd) ? cwd.slice(0, 2) : 'C:') + path, 1))
  if (path === '~' || path.startsWith('~\\')) return tidy(mark.home + path.slice(1), 1)
  if (/^[\uE000\uE002\uE005\uE006\uE008-\uE00A]/.test(path)) return tidy(path, 1)
  return tidy(`${cwd}\\${path}`, 1)
}

function tidy(path: string, keep: number): string {
  const kept: string[] = []
  for (const raw of path.split('\\')) {
    const part = /^\.+$/.test(raw) ? raw : raw.replace(/[. ]+$/, '')
    if (part === '' || part === '.') continue
    if (part !== '..') kept.push(part)
    else if (kept.length > keep) kept.pop()
    else if (kept[0] === mark.cwd) kept[0] = mark.unknown
    else if (kept[0] === mark.home) kept[0] = 'C:\\Users'
  }
  return /^[A-Z]:$/.test(kept.join('\\')) ? `${kept[0]}\\` : kept.join('\\')
}

function fullNames(path: string): string {
  const rest = path.slice(3)
  const short = shortNames.find(([name]) => name.test(rest))
  return short ? path.slice(0, 3) + rest.replace(short[0], short[1]) : path
}

/** What a path or registry key names, the worst of what its unknown parts may hold. */
export function judgeWindowsPath(written: string, cwd: string): JudgedPath {
  const path = resolveWindowsPath(written, cwd)
  const folder = path.replace(/(\\(\*+(\.\*)?|\uE000*\*))+$/, '')
  const kinds = new Set<Kind>(kindsOf(folder.length === 2 && folder[1] === ':' ? `${folder}\\` : folder))
  if (isOpen(path)) {
    const empty = resolveWindowsPath(path.replaceAll(mark.unknown, ''), 'C:').replace(/(\\\*(\.\*)?)+$/, '')
    const asEmpty = kindsOf(empty === 'C:' ? 'C:\\' : empty)
    if (
      path.includes(mark.unknown) &&
      path.includes('\\') &&
      asEmpty.some(kind => kind === 'root' || kind === 'system-folder')
    )
      kinds.add('unknown-root')
    if (/(^|\\)[\uE000*]*\uE000[\uE000*]*(\\|$)|^[\uE000\uE002\uE008-\uE00A]+(\\\**)?$/.test(path)) kinds.add('unknown')
  }
  if (kinds.size > 1) kinds.delete('other')
  return { path, kinds: [...kinds] }
}

function kindsOf(path: string): Kind[] {
  if (/^\\\\[?.]\\/.test(path))
    return /PhysicalDrive|Harddisk|^\\\\[?.]\\[A-Z]:$|Volume\{|CdRom/i.test(path) ? ['disk'] : ['other']
  if (path.startsWith('\\\\')) return /^\\\\[^\\]+\\[^\\]+$/.test(path) ? ['mount'] : ['other']
  if (/^HK/.test(path)) return registryKinds(path)
  if (path === mark.cwd) return ['cwd']
  if (path === mark.home) return ['home']
  if (!/^[A-Z]:\\/.test(path))
    return credentialFiles.test(path) ? ['credential'] : path === mark.unknown ? ['unknown'] : ['other']
  return driveKinds(path.slice(3))
}

function driveKinds(rest: string): Kind[] {
  if (rest === '' || rest === '*') return ['root']
  if (temporaryRoots.test(rest)) return ['temporary']
  if (rest.includes('*') && matchesSystem(rest)) return ['system-folder']
  const found: Kind[] = []
  if (criticalFiles.test(rest)) found.push('critical-file')
  else if (guardedFiles.test(rest)) found.push('guarded-file')
  if (credentialFiles.test(`\\${rest}`)) found.push('credential')
  if (/^Users$/i.test(rest)) return ['home']
  if (logs.test(rest)) return [/Logs$|winevt$/i.test(rest) ? 'all-logs' : 'log']
  if (systemFolders.test(rest)) return ['system-folder']
  if (/^(Users|Documents and Settings)\\[^\\]+$/i.test(rest)) found.push('user-home')
  if (systemFiles.test(rest)) found.push('system-file')
  return found.length > 0 ? found : ['other']
}

const examples = [
  'Windows',
  'Program Files',
  'ProgramData',
  'Users',
  'Windows\\System32',
  'Program Files (x86)',
  'Boot',
]

function matchesSystem(rest: string): boolean {
  const parts = rest.split('\\')
  return examples.some(example => {
    const names = example.split('\\')
    return names.length === parts.length && parts.every((part, index) => namePattern(part).test(names[index] ?? ''))
  })
}

const namePattern = (part: string) =>
  new RegExp(
    `^${part
      .replace(/[\\^$+()[\]{}|.]/g, '\\$&')
      .replace(/[*\uE000]+/g, '.*')
      .replaceAll('?', '.')}$`,
    'i',
  )

function registryKinds(path: string): Kind[] {
  const [hive, ...keys] = path.split('\\')
  const key = keys.filter(part => part !== '*').join('\\')
  if (hive === 'HKCU')
    return key === '' || /^Software(\\Microsoft(\\Windows)?)?$/i.test(key) ? ['system-folder'] : ['other']
  if (key === '' || /^(SOFTWARE|SYSTEM|SAM|SECURITY|HARDWARE|BCD\d*|DRIVERS)$/i.test(key)) return ['system-folder']
  if (
    /^(SYSTEM\\(CurrentControlSet|ControlSet\d+|Setup)(\\(Services|Control|Enum|Hardware Profiles))?|SOFTWARE\\(Microsoft|Classes|Policies|WOW6432Node)(\\(Windows( NT)?|Windows( NT)?\\CurrentVersion))?)$/i.test(
      key,
    )
  )
    return ['system-folder']
  return /^(SYSTEM|SAM|SECURITY|SOFTWARE\\(Microsoft|Classes|Policies))\\/i.test(key) ? ['system-file'] : ['other']
}
