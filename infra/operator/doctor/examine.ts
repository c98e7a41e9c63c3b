import { accessFindings } from './access-findings.ts'
import type { Facts, Finding, Severity } from './facts.ts'
import { hostFindings } from './host-findings.ts'
import { networkFindings } from './network-findings.ts'

const order: readonly Severity[] = ['danger', 'warning', 'note']

/** What is insecure or doubtful, worst first. Pure: the same facts give the same findings. */
export function examine(facts: Facts): Finding[] {
  const found = [...networkFindings(facts), ...accessFindings(facts), ...hostFindings(facts)]
  return order.flatMap(severity => found.filter(finding => finding.severity === severity))
}

/** 0: nothing but notes; 1: something doubtful; 2: something dangerous. */
export function exitCode(findings: readonly Finding[]): 0 | 1 | 2 {
  if (findings.some(({ severity }) => severity === 'danger')) return 2
  return findings.some(({ severity }) => severity === 'warning') ? 1 : 0
}
