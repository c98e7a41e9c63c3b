import { z } from 'zod'
import { type CommandSpec, commandStream } from '../schemas/commands.ts'
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
const created: Readonly<Record<CommandSpec['decides'], string>> = {
  target: 'TargetRegistered',
  credential: 'CredentialCreated',
  job: 'JobDefined',
  run: 'RunRequested',
  executor: 'EnrolmentTokenIssued',
  targetrun: 'StepResolved',
  role: 'RoleDefined',
  group: 'GroupCreated',
  grant: 'RoleGranted',
  user: 'UserInvited',
  serviceaccount: 'ServiceAccountCreated',
  apikey: 'ApiKeyIssued',
  session: 'SessionRevoked',
  sodrule: 'SodRuleDefined',
  sodviolation: 'SodViolationWaived',
  breakglass: 'BreakGlassActivated',
}

/** An answer as it looks for such a command. */
export function exampleAnswer(spec: CommandSpec): z.output<typeof commandAnswer> {
  const events = [{ id, type: created[spec.decides], revision: '0' }]
  return {
    commandId: id,
    stream: commandStream(spec, { [spec.idField]: id, n: 3 }),
    revision: '0',
    position: '4711',
    events,
  }
}
