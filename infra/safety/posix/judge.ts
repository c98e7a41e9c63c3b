import { parse } from 'unbash'
import type { Scope, Session } from '../facts.ts'
import { silence } from '../stream.ts'
import { runCall } from './call.ts'
import { createState } from './state.ts'
import { runCommandNode, runStatements, runText } from './walk.ts'

const run = { text: runText, statements: runStatements, node: runCommandNode, call: runCall }

/** Judges a text for sh, bash and their like. */
export function judgePosix(text: string, scope: Scope, session: Session): void {
  runText(text, { session, scope, parse, run, state: createState(), stdin: silence, pipesInto: null })
}
