import { note, type Scope, type Session } from '../facts.ts'
export async function judgePowershell(_text: string, scope: Scope, session: Session): Promise<void> {
  note(session, 'parse-error', 'powershell', scope)
}
