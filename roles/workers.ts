import { together } from '../infra/lifecycle.ts'
import { start as startProjectors } from '../projectors/main.ts'
import { start as startReactors } from '../reactors/main.ts'

/** Role `workers`: what follows the log and acts on it, in one process. */
export const start = together(startProjectors, startReactors)
