import { setTimeout as delay } from 'node:timers/promises'
import { enrolSignedText, verifySignature } from '../infra/identity.ts'
import { type Ids, sha256Hex } from '../infra/ids.ts'
import type { Log } from '../infra/log.ts'
import { type EnrolReply, type EnrolRequest, supportedProtocols } from '../schemas/bus.ts'
import { streams } from '../schemas/events.ts'
import type { EnrolmentRefusal } from '../schemas/executor.ts'
import { ProblemError } from '../schemas/problems.ts'
import type { Commands } from './commands.ts'

type Options = { commands: Commands; ids: Ids; log: Log }
export type FirstExecutor = { executorId: string; pool: string; tokenHash: string }

const RETRY_MS = 500
const INVITED_SECONDS = 86_400

const refused = (code: string, detail: string): EnrolReply => ({ status: 'refused', code, detail })

/** What a refusal is called in the log, where it is one that says something about the token or the key. */
const told: Readonly<Record<string, EnrolmentRefusal>> = {
  'enrolment-token-invalid': 'token-invalid',
  'enrolment-token-expired': 'token-expired',
  'executor-revoked': 'key-revoked',
  'wrong-signature': 'signature-wrong',
}

/** Lets an executor in that shows the token it was given. Rejects when that could not be recorded and may be asked again. */
export async function enrol(options: Options, request: EnrolRequest): Promise<EnrolReply> {
  const reply = await decide(options, request)
  const { executorId, publicKey } = request
  if (reply.status === 'enrolled') {
    options.log.info({ executorId, pool: reply.pool }, 'an executor was enrolled')
    return reply
  }
  options.log.warn({ executorId, code: reply.code }, 'an executor was not let in')
  const why = told[reply.code]
  if (why) {
    const command = { type: 'refuse-enrolment', data: { executorId, publicKey, why } } as const
    // Of a name nobody has issued a token for there is no history to add to.
    await options.commands.send('executor', command, by(options, 'enrolment')).catch(() => undefined)
  }
  return reply
}

async function decide(options: Options, request: EnrolRequest): Promise<EnrolReply> {
  const { executorId, publicKey, version, protocol, token } = request
  if (!supportedProtocols.has(protocol)) {
    const spoken = [...supportedProtocols].join(', ')
    return refused('protocol-not-supported', `it speaks protocol ${protocol}, the control plane ${spoken}`)
  }
  if (!verifySignature(publicKey, enrolSignedText(request), request.signature))
    return refused('wrong-signature', 'the request is not signed by the key it names')
  const data = { executorId, tokenHash: sha256Hex(token), publicKey, version, protocol }
  const actor = { kind: 'executor', id: executorId } as const
  try {
    const state = await options.commands.send('executor', { type: 'enrol-executor', data }, by(options, actor))
    if (state.status === 'absent') throw new Error('an enrolment left nothing behind')
    return { status: 'enrolled', pool: state.pool, labels: state.labels }
  } catch (error) {
    if (!(error instanceof ProblemError) || error.code === 'conflict') throw error
    return refused(error.code, error.detail ?? error.code)
  }
}

/** Those whose tokens were handed out by whoever set the system up, before there was anybody to ask for them. */
export async function inviteFirst(options: Options, executors: readonly FirstExecutor[], signal: AbortSignal) {
  for (const { executorId, pool, tokenHash } of executors) {
    const data = { executorId, pool, tokenHash, expiresSeconds: INVITED_SECONDS }
    while (!signal.aborted && !(await invited(options, data)))
      await delay(RETRY_MS, undefined, { signal }).catch(() => {})
  }
}

async function invited(options: Options, data: FirstExecutor & { expiresSeconds: number }): Promise<boolean> {
  const { commands, log } = options
  try {
    const state = await commands.fresh('executor', streams.executor(data.executorId))
    if (state.status === 'absent' || state.status === 'invited')
      await commands.send('executor', { type: 'invite-executor', data }, by(options, 'first-executors'))
    return true
  } catch (err) {
    log.warn({ err, executorId: data.executorId }, 'the first executors could not be invited, trying again')
    return false
  }
}

function by({ ids }: Options, actor: Parameters<Commands['send']>[2]['actor']) {
  const commandId = ids.next()
  return { commandId, correlationId: commandId, causationId: commandId, actor }
}
