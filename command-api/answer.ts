import { z } from 'zod'
import { positionText } from '../schemas/position.ts'

const revision = z.string().regex(/^\d+$/)

/** What a command answers with, as it goes over the wire. */
export const commandAnswer = z.object({
  commandId: z.uuid(),
  stream: z.string(),
  revision: revision.describe('Of the stream after this command; also the ETag'),
  position: positionText.describe('Hand it to a query as minPosition to read what this command did'),
  events: z.array(z.object({ id: z.uuid(), type: z.string(), revision })).describe('Empty: nothing had to change'),
})

const id = '0192d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d'
const streamOf = (name: string) => name.replace(/^.*(target|credential|job|run).*$/, '$1')
const typeOf: Readonly<Record<string, string>> = {
  target: 'TargetRegistered',
  credential: 'CredentialCreated',
  job: 'JobDefined',
  run: 'RunRequested',
}

/** An answer as it looks for a command of this name. */
export function exampleAnswer(name: string): z.output<typeof commandAnswer> {
  const category = streamOf(name)
  const events = [{ id, type: typeOf[category] ?? '', revision: '0' }]
  return { commandId: id, stream: `${category}-${id}`, revision: '0', position: '4711', events }
}
