import type { Bus } from '../../infra/bus.ts'
import { subscribeJson } from '../../infra/bus.ts'
import type { Clock } from '../../infra/clock.ts'
import { HpkeKeyError, HpkeOpenError, hpkeOpen, hpkeSeal } from '../../infra/hpke.ts'
import type { Ids } from '../../infra/ids.ts'
import type { Log } from '../../infra/log.ts'
import type { Pool } from '../../infra/postgres.ts'
import { subjects as busSubjects } from '../../schemas/bus.ts'
import {
  type SignInOperation,
  type SignInReply,
  type SignInRequest,
  signInAnswerInfo,
  signInInfo,
  signInOperations,
  signInQuestion,
  signInRequest,
} from '../../schemas/sign-in-bus.ts'
import type { KekProvider } from '../kek.ts'
import type { OwnKeys } from '../own-keys.ts'
import { createAttempts } from './attempts.ts'
import { keepBegun, takeBegun } from './begun.ts'
import { eraseSubject } from './erase.ts'
import { createHashPool, HashPoolBusy } from './hash-pool.ts'
import { createHasher, type Hasher } from './hasher.ts'
import { activatePassphrase, makeDecoy, preparePassphrase, verifyPassphrase } from './passphrases.ts'
import { beginTotp, checkTotp, issueRecoveryCodes, keepFactors, useRecoveryCode } from './second-factors.ts'
import { createSigningKeys } from './signing-keys.ts'
import { createSubjects } from './subjects.ts'

export type SignInDeps = { bus: Bus; pool: Pool; keks: KekProvider; own: OwnKeys; clock: Clock; ids: Ids; log: Log }
type Answering = { [O in SignInOperation]: (data: SignInRequest<O>) => Promise<SignInReply<O> | undefined> }
type Error = 'unknown-key' | 'cannot-open' | 'busy' | 'unavailable'

/** What waits for the passphrases of others to be checked must not hold up what needs none. */
const LIMITS = { queue: 'vault-sign-in', concurrency: 128, maxWaiting: 1_000 }

/** Answers what signing people in asks of the vault. */
export async function serveSignIn(deps: SignInDeps): Promise<{ stop(): Promise<void> }> {
  const hasher = createHasher()
  const answering = await operations(deps, hasher)
  const options = LIMITS
  subscribeJson(
    deps.bus,
    busSubjects.vaultSignIn,
    signInRequest,
    async ({ requestId, keyId, ...sealed }) => {
      if (keyId !== deps.own.keyId) return refusal('unknown-key')
      try {
        const { operation, data, replyKey } = open(deps.own, requestId, sealed)
        const reply = await answer(answering, operation, data)
        return hpkeSeal(replyKey, signInAnswerInfo(requestId), Buffer.from(JSON.stringify(reply)))
      } catch (error) {
        if (error instanceof HashPoolBusy) return refusal('busy')
        if (error instanceof HpkeOpenError || error instanceof HpkeKeyError) return refusal('cannot-open')
        deps.log.error({ err: error }, 'a question about signing in could not be answered')
        return refusal('unavailable')
      }
    },
    options,
  )
  return { stop: hasher.stop }
}

const refusal = (error: Error) => ({ error, detail: 'the vault did not answer the question' })

function open(own: OwnKeys, requestId: string, sealed: { enc: string; ciphertext: string }) {
  const plaintext = hpkeOpen(own.pair, signInInfo(requestId), sealed)
  try {
    return signInQuestion.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(plaintext)))
  } catch {
    // A parser's message may quote what it could not parse.
    throw new HpkeOpenError('the sealed question is none')
  } finally {
    plaintext.fill(0)
  }
}

async function answer(answering: Answering, operation: string, data: unknown): Promise<unknown> {
  if (!isOperation(operation)) throw new HpkeOpenError('there is no such operation')
  const parsed = signInOperations[operation].request.safeParse(data)
  if (!parsed.success) throw new HpkeOpenError('the question does not fit its operation')
  // The schema of that name has made it what the operation of that name takes.
  const run = answering[operation] as (data: unknown) => Promise<unknown>
  const reply = await run(parsed.data)
  if (reply === undefined) throw new HpkeOpenError('the question is about nobody')
  return reply
}

const isOperation = (name: string): name is SignInOperation => Object.hasOwn(signInOperations, name)

async function operations({ pool, keks, own, clock, ids }: SignInDeps, hasher: Hasher): Promise<Answering> {
  const subjects = createSubjects(pool, keks, own)
  const attempts = createAttempts(pool)
  const passphrases = createHashPool(hasher)
  const deps = { pool, keks, own, subjects, attempts, ids }
  const decoy = await passphrases.admit(hashes => makeDecoy({ keks, hashes }))
  const keys = createSigningKeys(pool, keks)
  return {
    'create-subject': data => subjects.create(data, clock.now()),
    'external-subject': data => subjects.external(data, clock.now()),
    'keep-begun': async data => keepBegun(deps, data, clock.now()),
    'take-begun': data => takeBegun(deps, data, clock.now()),
    'change-profile': data => subjects.change(data),
    profiles: async ({ userIds }) => ({ profiles: await subjects.profiles(userIds) }),
    'find-login': async ({ loginName }) => ({ userId: (await subjects.byLogin(loginName))?.userId ?? null }),
    'prepare-passphrase': data =>
      passphrases.admit(hashes => preparePassphrase({ ...deps, hashes }, data, clock.now())),
    'activate-passphrase': data => activatePassphrase(deps, data),
    'verify-passphrase': data =>
      passphrases.admit(hashes => verifyPassphrase({ ...deps, hashes }, decoy, data, clock.now())),
    'forget-attempts': async ({ userId }) => {
      await Promise.all([attempts.forgetAll('account', userId), attempts.forgetAll('code', userId)])
      return {}
    },
    'begin-totp': data => beginTotp(deps, data, clock.now()),
    'check-totp': data => checkTotp(deps, data, clock.now()),
    'issue-recovery-codes': data => issueRecoveryCodes(deps, data),
    'use-recovery-code': data => useRecoveryCode(deps, data, clock.now()),
    'keep-factors': data => keepFactors(deps, data),
    'sign-token': data => keys.sign(withDigestKey(own, data), clock.now()),
    'public-keys': () => keys.publicKeys(clock.now()),
    'erase-subject': async ({ userId }) => {
      const certificate = (await eraseSubject({ pool, keks }, userId, clock.now())) ?? null
      await attempts.forgetAll('account', userId)
      return { certificate }
    },
  }
}

/** What pins the bodies of a user's requests without letting anybody try out guesses, in this session and the next. */
function withDigestKey({ fingerprint }: OwnKeys, data: SignInRequest<'sign-token'>): SignInRequest<'sign-token'> {
  if (data.kind !== 'access') return data
  return { ...data, claims: { ...data.claims, dk: fingerprint('digest-key', Buffer.from(data.subject)) } }
}
