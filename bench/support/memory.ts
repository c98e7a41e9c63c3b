import { readFileSync } from 'node:fs'
import { descendants } from '../../test/support/process-tree.ts'

export type Usage = { name: string; pid: number; megabytes: number; cpuSeconds: number }

/** Memory and CPU of a process and everything below it, from /proc (Linux). Shared pages are counted once (PSS). */
export function usageBelow(pid: number): Usage[] {
  return [pid, ...descendants(pid)].flatMap(each => {
    try {
      return [{ name: nameOf(each), pid: each, megabytes: pss(each), cpuSeconds: cpu(each) }]
    } catch {
      return [] // it ended between the listing and the reading
    }
  })
}

export const totalMegabytes = (usage: Usage[]): number => usage.reduce((sum, u) => sum + u.megabytes, 0)
export const totalCpuSeconds = (usage: Usage[]): number => usage.reduce((sum, u) => sum + u.cpuSeconds, 0)

function pss(pid: number): number {
  const kilobytes = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]
  return Number(kilobytes ?? 0) / 1024
}

// proc(5): utime and stime are fields 14 and 15, in ticks of 1/100 s.
function cpu(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

function nameOf(pid: number): string {
  const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
  return /opsconductor(?:\.js)? ([a-z-]+)/.exec(line)?.[1] ?? line.split(' ')[0] ?? ''
}
