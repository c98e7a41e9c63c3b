import type { Kind } from '../facts.ts'
import { hasPattern, isOpen, mark, patternOf } from '../text.ts'
import {
  credentialFiles,
  criticalFiles,
  dataParents,
  disks,
  guardedFiles,
  harmlessDevices,
  kernelControls,
  publicFiles,
  systemFolders,
  temporaryRoots,
} from './path-tables.ts'

export type JudgedPath = { path: string; kinds: Kind[] }

/** Absolute where it can be, `.`, `..` and doubled slashes gone (by text: links are not followed). */
export function resolvePath(path: string, cwd: string): string {
  const rooted = path.startsWith('/') || startsAtMark(path) ? path : `${cwd}/${path}`
  const absolute = rooted.startsWith('/')
  const kept: string[] = []
  for (const part of rooted.split('/')) {
    if (part === '' || part === '.') continue
    if (part !== '..') kept.push(part)
    else if (kept.length > (absolute ? 0 : 1)) kept.pop()
    else if (!absolute) kept[0] = mark.cwd === kept[0] || kept[0] === mark.home ? parentOf(kept[0]) : mark.unknown
  }
  return absolute ? `/${kept.join('/')}` : kept.join('/')
}

const startsAtMark = (path: string) =>
  [mark.home, mark.cwd, mark.unknown, mark.present, mark.secret].some(m => path.startsWith(m))
const parentOf = (start: string) => (start === mark.home ? '/home' : mark.unknown)

/** What a path names, as written at a place whose folder is `cwd`; the worst of what its unknown parts may hold. */
export function judgePath(written: string, cwd: string): JudgedPath {
  const path = resolvePath(written, cwd)
  const folder = contentsAsFolder(path)
  const kinds = new Set<Kind>(
    kindsOf(folder).map(kind => (kind === 'temporary-root' && folder !== path ? 'temporary' : kind)),
  )
  if (isOpen(path)) for (const kind of openKinds(path)) kinds.add(kind)
  if (kinds.size > 1) kinds.delete('other')
  return { path, kinds: [...kinds] }
}

// Deleting `/etc/*` is deleting what makes `/etc` what it is.
function contentsAsFolder(path: string): string {
  const parts = path.split('/')
  while (parts.length > 1 && /^\.?\uE003+(\.\uE003+)?$/.test(parts.at(-1) ?? '')) parts.pop()
  return parts.join('/') || '/'
}

// `$X/etc` is `/etc` when X is empty; `/srv/$X` is `/srv`; `$X` alone may be anything.
function openKinds(path: string): Kind[] {
  const empty = resolvePath(path.replaceAll(mark.unknown, ''), '/')
  const asEmpty = kindsOf(contentsAsFolder(empty)).filter(
    kind => kind === 'root' || kind === 'system-folder' || kind === 'home',
  )
  const found: Kind[] = path.includes(mark.unknown) && asEmpty.length > 0 ? ['unknown-root'] : []
  const wholePart = path.split('/').some(part => /^[\uE000\uE003]*\uE000[\uE000\uE003]*$/.test(part))
  const nothingElse = /^[\uE000\uE002\uE008]+(\/\uE003*)?$/.test(path)
  if (wholePart || nothingElse) found.push('unknown')
  return found
}

function kindsOf(path: string): Kind[] {
  if (path === '/') return ['root']
  if (path === mark.cwd) return ['cwd']
  if (path === mark.home) return ['home']
  if (path.startsWith(mark.home)) return isSecret(path) ? ['credential'] : ['other']
  if (!path.startsWith('/'))
    return path.includes('/') || !isOpen(path) ? (isSecret(path) ? ['credential'] : ['other']) : ['unknown']
  return absoluteKinds(path)
}

function absoluteKinds(path: string): Kind[] {
  const found: Kind[] = []
  if (disks.test(path) || diskPattern(path)) found.push('disk')
  if (kernelControls.test(path)) found.push('kernel-control')
  if (criticalFiles.some(file => file.test(path))) found.push('critical-file')
  else if (guardedFiles.some(file => file.test(path))) found.push('guarded-file')
  if (isSecret(path)) found.push('credential')
  found.push(...placeKinds(path))
  return found.length > 0 ? found : ['other']
}

function placeKinds(path: string): Kind[] {
  if (harmlessDevices.test(path)) return []
  const temporary = temporaryRoots.find(root => path === root || path.startsWith(`${root}/`))
  if (temporary) return [path === temporary ? 'temporary-root' : 'temporary']
  if (/^\/(root|home|Users)$/.test(path)) return ['home']
  if (path === '/var/log') return ['all-logs']
  if (isOneOf(path, systemFolders))
    return /^\/(mnt|media|Volumes)$/.test(path) ? ['mount', 'system-folder'] : ['system-folder']
  if (/^\/(home|Users)\/[^/]+$/.test(path)) return ['user-home']
  if (/^\/(mnt|media|Volumes|media\/[^/]+|run\/media\/[^/]+)\/[^/]+$/.test(path)) return ['mount']
  if (path.startsWith('/var/log/')) return ['log']
  if (
    /^\/(etc|bin|sbin|lib|lib32|lib64|usr|dev|proc|sys|System|Library)\//.test(path) &&
    !/^\/usr\/(local|src)\//.test(path)
  )
    return ['system-file']
  if (dataParents.some(parent => path === parent || path.slice(0, path.lastIndexOf('/')) === parent)) return ['data']
  return /^\/[^/]+$/.test(path) ? ['top-level'] : []
}

function isOneOf(path: string, folders: readonly string[]): boolean {
  if (!hasPattern(path)) return folders.includes(path)
  const pattern = patternOf(path)
  return folders.some(folder => pattern.test(folder) && folder.split('/').length === path.split('/').length)
}

const diskPattern = (path: string) =>
  path.startsWith('/dev/') &&
  hasPattern(path) &&
  ['/dev/sda', '/dev/nvme0n1', '/dev/vda', '/dev/sda1'].some(disk => patternOf(path).test(disk))

const isSecret = (path: string) => credentialFiles.some(file => file.test(path)) && !publicFiles.test(path)

/** True when reading the file reads keys or password hashes. */
export function isSecretFile(written: string, cwd: string): boolean {
  return judgePath(written, cwd).kinds.includes('credential')
}
