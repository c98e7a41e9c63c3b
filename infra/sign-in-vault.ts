import { randomUUID } from 'node:crypto'
import { subjects, vaultPublicKey } from '../schemas/bus.ts'
import { ProblemError } from '../schemas/problems.ts'
import {
  type SignInOperation,
  type SignInReply,
  type SignInRequest,
  signInAnswerInfo,
  signInInfo,
  signInOperations,
  signInReply,
} from '../schemas/sign-in-bus.ts'
import { type Bus, BusError, requestJson } from './bus.ts'
import { HpkeKeyError, HpkeOpenError, hpkeOpen, hpkeSeal, newHpkeKeyPair } from './hpke.ts'

export interface SignInVault {
  /**
   * Asks the vault something about signing in; question and answer are encrypted on their way.
   * @throws ProblemError vault-unavailable; rate-limited while it has as many passphrases to check as it takes.
   */
  ask<O extends SignInOperation>(operation: O, data: SignInRequest<O>): Promise<SignInReply<O>>
}

const TIMEOUT_MS = 5_000
/** So long nobody asks again once it has as many passphrases to check as it takes: turning away a flood must cost little. */
const BUSY_MS = 50
const needsTurn: ReadonlySet<SignInOperation> = new Set(['verify-passphrase', 'prepare-passphrase'])
type PublicKey = { keyId: string; publicKey: string }

export function createSignInVault(bus: Bus): SignInVault {
  let known: PublicKey | undefined
  let busyUntil = Number.NEGATIVE_INFINITY
  const once = async (operation: SignInOperation, data: unknown) => {
    known ??= await requestJson(bus, subjects.vaultPublicKey, vaultPublicKey, {}, { timeoutMs: TIMEOUT_MS })
    const { keyId, publicKey } = known
    const requestId = randomUUID()
    const pair = newHpkeKeyPair()
    const question = Buffer.from(JSON.stringify({ operation, data, replyKey: pair.publicKey }))
    const sealed = hpkeSeal(publicKey, signInInfo(requestId), question)
    question.fill(0)
    const request = { requestId, keyId, ...sealed }
    const answer = await requestJson(bus, subjects.vaultSignIn, signInReply, request, { timeoutMs: TIMEOUT_MS })
    if ('error' in answer) return answer
    return { opened: hpkeOpen(pair, signInAnswerInfo(requestId), answer) }
  }
  return {
    async ask(operation, data) {
      if (needsTurn.has(operation) && performance.now() < busyUntil) throw new ProblemError('rate-limited')
      try {
        let answer = await once(operation, data)
        if ('error' in answer && answer.error === 'unknown-key') {
          // The vault was set up anew: its key of today is one question away.
          known = undefined
          answer = await once(operation, data)
        }
        if ('error' in answer && answer.error === 'busy') {
          busyUntil = performance.now() + BUSY_MS
          throw new ProblemError('rate-limited')
        }
        if ('error' in answer) throw new ProblemError('vault-unavailable')
        const parsed = JSON.parse(Buffer.from(answer.opened).toString('utf8'))
        // The schema of that name makes it the answer of that name.
        return signInOperations[operation].reply.parse(parsed) as SignInReply<typeof operation>
      } catch (error) {
        const silent = error instanceof BusError || error instanceof HpkeKeyError || error instanceof HpkeOpenError
        throw silent ? new ProblemError('vault-unavailable') : error
      }
    },
  }
}
