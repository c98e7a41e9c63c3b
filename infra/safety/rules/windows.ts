import type { Rule } from '../rules.ts'

/** Filled below. */
export const windowsRules: Rule[] = []
