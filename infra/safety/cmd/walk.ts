import { note, type Scope, type Session } from '../facts.ts'
export function judgeCmd(_text: string, scope: Scope, session: Session): void {
  note(session, 'parse-error', 'cmd', scope)
}
