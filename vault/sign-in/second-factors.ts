import { randomBytes } from 'node:crypto'
import { generateSecret, generateURI, verifySync } from 'otplib'
import type { Ids } from '../../infra/ids.ts'
import { inTransaction, type Pool } from '../../infra/postgres.ts'
import type { SignInReply, SignInRequest } from '../../schemas/sign-in-bus.ts'
import type { KekProvider } from '../kek.ts'
import type { OwnKeys } from '../own-keys.ts'
import type { Attempts } from './attempts.ts'
import { withSubjectKey } from './subject-key.ts'
import type { Subjects } from './subjects.ts'

export type FactorDeps = {
  pool: Pool
  keks: KekProvider
  own: OwnKeys
  subjects: Subjects
  attempts: Attempts
  ids: Ids
}

const ISSUER = 'OpsConductor'
const PERIOD = 30
/** Clocks of telephones: a code of the period before or after is good too. */
const TOLERANCE = 30
const CODES = 10
/** Letters and digits that are not taken for one another, as RFC 4648 has them: 16 of them are 80 bits. */
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567'
const CODE_LENGTH = 16

/** A new seed for an authenticator app (RFC 6238). It counts once the log says that it was enrolled. */
export async function beginTotp(
  { pool, keks, subjects, ids }: FactorDeps,
  { userId }: SignInRequest<'begin-totp'>,
  now: string,
): Promise<SignInReply<'begin-totp'> | undefined> {
  const subject = await subjects.byId(userId)
  if (!subject) return undefined
  return await withSubjectKey(keks, subject, async key => {
    const factorId = ids.next()
    const secret = generateSecret()
    await pool.query('insert into vault.totp (factor_id, user_id, sealed, created_at) values ($1, $2, $3, $4)', [
      factorId,
      userId,
      key.seal(recordOf(factorId), Buffer.from(secret)),
      now,
    ])
    const label = subjects.profileOf(subject, key).loginName
    return { factorId, secret, uri: generateURI({ issuer: ISSUER, label, secret }) }
  })
}

/** Six digits and nothing else: what is not exactly that was never a code (CVE-2025-6014). */
const SIX_DIGITS = /^[0-9]{6}$/

/** Each code opens once: a factor takes no code of a period that it took one of already, nor of any before. */
export async function checkTotp(
  { pool, keks, subjects, attempts }: FactorDeps,
  { userId, factorIds, code }: SignInRequest<'check-totp'>,
  now: string,
): Promise<SignInReply<'check-totp'>> {
  const { admitted, lockedUntil } = await attempts.admit('code', userId, now)
  if (!admitted) return { outcome: 'refused', why: 'locked' }
  const refused = (why: 'wrong-code' | 'used-code') =>
    ({ outcome: 'refused', why, ...(lockedUntil !== undefined && { lockedUntil }) }) as const
  const subject = await subjects.byId(userId)
  if (!subject || !SIX_DIGITS.test(code)) return refused('wrong-code')
  const { rows } = await pool.query<{ factor_id: string; sealed: Buffer }>(
    'select factor_id, sealed from vault.totp where user_id = $1 and factor_id = any($2)',
    [userId, factorIds],
  )
  return await withSubjectKey(keks, subject, async key => {
    for (const { factor_id: factorId, sealed } of rows) {
      const secret = key.open(recordOf(factorId), sealed).toString('utf8')
      const step = stepOf(secret, code, now)
      if (step === undefined) continue
      const { rowCount } = await pool.query(
        'update vault.totp set last_step = $2 where factor_id = $1 and last_step < $2',
        [factorId, step],
      )
      if (rowCount !== 1) return refused('used-code')
      await attempts.forget('code', userId)
      return { outcome: 'verified', factorId }
    }
    return refused('wrong-code')
  })
}

/** The period a code is of; undefined for a code that is of none that counts now. */
function stepOf(secret: string, token: string, now: string): number | undefined {
  const epoch = Math.floor(Date.parse(now) / 1000)
  const { valid, ...found } = verifySync({ secret, token, epoch, period: PERIOD, epochTolerance: TOLERANCE })
  if (!valid || !('delta' in found) || typeof found.delta !== 'number') return undefined
  return Math.floor(epoch / PERIOD) + found.delta
}

/** New codes in the place of the ones before. Only their digests are kept: 80 random bits each. */
export async function issueRecoveryCodes(
  { pool, own }: FactorDeps,
  { userId, setId }: SignInRequest<'issue-recovery-codes'>,
): Promise<SignInReply<'issue-recovery-codes'>> {
  const codes = Array.from({ length: CODES }, newCode)
  const digests = codes.map(code => digestOf(own, setId, code))
  await pool.query(
    `insert into vault.recovery_code (set_id, code_digest, user_id) select $1, digest, $2 from unnest($3::text[]) digest`,
    [setId, userId, digests],
  )
  return { codes: codes.map(code => code.replace(/.{4}(?=.)/g, '$&-')) }
}

export async function useRecoveryCode(
  { pool, own, attempts }: FactorDeps,
  { userId, setId, code }: SignInRequest<'use-recovery-code'>,
  now: string,
): Promise<SignInReply<'use-recovery-code'>> {
  const { admitted, lockedUntil } = await attempts.admit('code', userId, now)
  if (!admitted) return { outcome: 'refused', why: 'locked' }
  const digest = digestOf(own, setId, code.toLowerCase().replace(/[\s-]/g, ''))
  const { rows } = await pool.query<{ used: boolean }>(
    `with taken as (
       update vault.recovery_code set used_at = $4 where set_id = $1 and code_digest = $2 and user_id = $3 and used_at is null
       returning true)
     select not exists (select from taken) as used from vault.recovery_code
     where set_id = $1 and code_digest = $2 and user_id = $3`,
    [setId, digest, userId, now],
  )
  const locked = lockedUntil !== undefined && { lockedUntil }
  if (!rows[0]) return { outcome: 'refused', why: 'wrong-code', ...locked }
  if (rows[0].used) return { outcome: 'refused', why: 'used-code', ...locked }
  await attempts.forget('code', userId)
  const left = await pool.query<{ left: number }>(
    'select count(*)::int as left from vault.recovery_code where set_id = $1 and used_at is null',
    [setId],
  )
  return { outcome: 'verified', left: left.rows[0]?.left ?? 0 }
}

export async function keepFactors(
  { pool }: FactorDeps,
  { userId, factorIds, setId }: SignInRequest<'keep-factors'>,
): Promise<Record<string, never>> {
  await inTransaction(pool, async connection => {
    await connection.query('delete from vault.totp where user_id = $1 and factor_id <> all($2)', [userId, factorIds])
    await connection.query('delete from vault.recovery_code where user_id = $1 and set_id is distinct from $2', [
      userId,
      setId,
    ])
  })
  return {}
}

const newCode = (): string => [...randomBytes(CODE_LENGTH)].map(byte => ALPHABET[byte % ALPHABET.length]).join('')
const digestOf = ({ fingerprint }: OwnKeys, setId: string, code: string): string =>
  fingerprint(`recovery-code|${setId}`, Buffer.from(code))
const recordOf = (factorId: string) => `totp|${factorId}`
