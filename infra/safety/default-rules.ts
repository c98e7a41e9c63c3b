import { cloudRules } from './rules/cloud.ts'
import { codeRules } from './rules/code.ts'
import { dataRules } from './rules/data.ts'
import { diskRules } from './rules/disks.ts'
import { fileRules } from './rules/files.ts'
import { machineRules } from './rules/machine.ts'
import { networkRules } from './rules/network.ts'
import { windowsRules } from './rules/windows.ts'
import type { RuleSet } from './rules.ts'

/** What is shipped. Of rules with the same decision the first one that fits is named, so the plainest come first. */
export const defaultRules: RuleSet = {
  version: '1',
  rules: [
    ...fileRules,
    ...diskRules,
    ...machineRules,
    ...networkRules,
    ...dataRules,
    ...cloudRules,
    ...windowsRules,
    ...codeRules,
  ],
}
