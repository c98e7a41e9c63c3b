import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import process from 'node:process'
import { setTimeout as delay } from 'node:timers/promises'

const LOOK_EVERY_MS = 100
/** How long a lock may be without the name of its holder: between its making and its first write. */
const NAMELESS_MS = 5_000

/**
 * Runs work while no other process holds the file. Waits for one that does, and says so once; the lock of a process
 * that is gone is taken over.
 */
export async function withLock(file, say, work) {
  const mine = `${process.pid} ${startedAt(process.pid)}`
  for (let told = false; !taken(file, mine); told = true) {
    const holder = contentOf(file)
    if (holder === undefined) continue
    if (isStale(file, holder)) {
      setAside(file, holder)
      continue
    }
    if (!told) say(`Another command (process ${holder.split(' ')[0]}) is installing or building, waiting for it …`)
    await delay(LOOK_EVERY_MS)
  }
  try {
    return await work()
  } finally {
    if (contentOf(file) === mine) rmSync(file, { force: true })
  }
}

function taken(file, mine) {
  try {
    writeFileSync(file, mine, { flag: 'wx' })
    return true
  } catch (error) {
    if (error.code === 'EEXIST') return false
    throw error
  }
}

function isStale(file, holder) {
  const [pid, started] = holder.split(' ')
  if (started !== undefined) return startedAt(Number(pid)) !== started
  const made = statSync(file, { throwIfNoEntry: false })?.mtimeMs
  return made !== undefined && Date.now() - made > NAMELESS_MS
}

// Of several that find the same lock stale, one moves it; who moved a lock that was taken meanwhile puts it back.
function setAside(file, stale) {
  const aside = `${file}.${process.pid}`
  try {
    renameSync(file, aside)
    if (contentOf(aside) === stale) rmSync(aside, { force: true })
    else renameSync(aside, file)
  } catch (error) {
    if (error.code !== 'ENOENT') throw error
  }
}

function contentOf(file) {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

// Differs between two lives of the same process id; `gone` when there is no such process.
function startedAt(pid) {
  if (process.platform === 'linux') {
    const stat = contentOf(`/proc/${pid}/stat`)
    // proc(5): the 22nd field, counted after the command name, which may hold blanks and parentheses.
    return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? 'gone'
  }
  try {
    process.kill(pid, 0)
    return 'alive'
  } catch (error) {
    return error.code === 'EPERM' ? 'alive' : 'gone'
  }
}
