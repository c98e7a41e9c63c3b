import { randomBytes, randomUUID } from 'node:crypto'
import type { Ids } from '../../infra/ids.ts'
import { inTransaction, type Pool } from '../../infra/postgres.ts'
import type { SignInReply, SignInRequest } from '../../schemas/sign-in-bus.ts'
import type { KekProvider } from '../kek.ts'
import type { OwnKeys } from '../own-keys.ts'
import type { Attempts } from './attempts.ts'
import type { Hashes } from './hash-pool.ts'
import { addressIndex, loginIndex } from './login-index.ts'
import { passphraseProblems } from './passphrase-policy.ts'
import { newSubjectKey, type WrappedKey, withSubjectKey } from './subject-key.ts'
import type { Subject, Subjects } from './subjects.ts'

export type PassphraseDeps = {
  pool: Pool
  keks: KekProvider
  own: OwnKeys
  subjects: Subjects
  attempts: Attempts
  hashes: Hashes
  ids: Ids
}
type Sealed = { verifierId: string; sealed: Buffer }
/** Nobody's, but as much work to look at as anybody's. */
export type Decoy = { key: WrappedKey; verifier: Sealed }

/** Made once, at the start: attempts for names that nobody has are judged against it. */
export async function makeDecoy({ keks, hashes }: Pick<PassphraseDeps, 'keks' | 'hashes'>): Promise<Decoy> {
  const key = await newSubjectKey(keks, randomUUID())
  const hashed = await hashes.hash(randomBytes(32).toString('base64url'))
  const verifierId = randomUUID()
  const sealed = await withSubjectKey(keks, key, opened => opened.seal(recordOf(verifierId), Buffer.from(hashed)))
  return { key, verifier: { verifierId, sealed } }
}

/** Judges a new passphrase and keeps its hash. Nothing counts before it is activated. */
export async function preparePassphrase(
  { pool, keks, subjects, hashes, ids }: PassphraseDeps,
  { userId, passphrase }: SignInRequest<'prepare-passphrase'>,
  now: string,
): Promise<SignInReply<'prepare-passphrase'>> {
  const subject = await subjects.byId(userId)
  if (!subject) return { verifierId: null, problems: ['there is no such user'] }
  return await withSubjectKey(keks, subject, async key => {
    const { loginName, displayName, email } = subjects.profileOf(subject, key)
    const problems = passphraseProblems(passphrase, [loginName, displayName ?? '', email ?? ''])
    if (problems.length > 0) return { verifierId: null, problems }
    const verifierId = ids.next()
    const sealed = key.seal(recordOf(verifierId), Buffer.from(await hashes.hash(passphrase)))
    await inTransaction(pool, async connection => {
      // What was prepared before and never counted would only be more to try; what was prepared just now may count yet.
      await connection.query(FORGET_PREPARED, [
        userId,
        new Date(Date.parse(now) - UNDER_WAY_MS).toISOString(),
        UNDER_WAY,
      ])
      await connection.query(
        'insert into vault.verifier (verifier_id, user_id, sealed, created_at) values ($1, $2, $3, $4)',
        [verifierId, userId, sealed, now],
      )
    })
    return { verifierId, problems }
  })
}

const UNDER_WAY_MS = 60_000
const UNDER_WAY = 3
const FORGET_PREPARED = `delete from vault.verifier where user_id = $1 and not active and (created_at < $2
  or verifier_id not in (select verifier_id from vault.verifier where user_id = $1 and not active
    order by created_at desc limit $3))`

/** The log names this passphrase: the ones before are gone. */
export async function activatePassphrase(
  { pool, attempts }: Pick<PassphraseDeps, 'pool' | 'attempts'>,
  { userId, verifierId }: SignInRequest<'activate-passphrase'>,
): Promise<Record<string, never>> {
  await inTransaction(pool, async connection => {
    await connection.query('update vault.verifier set active = true where verifier_id = $1 and user_id = $2', [
      verifierId,
      userId,
    ])
    await connection.query('delete from vault.verifier where user_id = $1 and verifier_id <> $2', [userId, verifierId])
  })
  await attempts.forgetAll('account', userId)
  return {}
}

/**
 * Judges an attempt. Whether there is such a user, whether it is locked and whether the passphrase is wrong takes the
 * same work, so that the time tells nothing.
 */
export async function verifyPassphrase(
  deps: PassphraseDeps,
  decoy: Decoy,
  { who, passphrase, address }: SignInRequest<'verify-passphrase'>,
  now: string,
): Promise<SignInReply<'verify-passphrase'>> {
  const { subjects, attempts, own } = deps
  const from = addressIndex(own, address)
  const byAddress = await attempts.admit('address', from, now)
  if (!byAddress.admitted) return { outcome: 'refused', why: 'address' }
  const subject = 'userId' in who ? await subjects.byId(who.userId) : await subjects.byLogin(who.loginName)
  const name = subject?.userId ?? ('loginName' in who ? loginIndex(own, who.loginName) : who.userId)
  const key = await bucketOf(deps, name, from)
  const { admitted, lockedUntil } = await attempts.admit('account', key, now)
  const verifierId = await matching(deps, decoy, subject, passphrase)
  const known = subject && { userId: subject.userId }
  const locked = lockedUntil !== undefined && { lockedUntil }
  if (!admitted) return { outcome: 'refused', why: 'locked', ...known }
  if (!subject) return { outcome: 'refused', why: 'unknown', ...locked }
  if (verifierId === undefined) return { outcome: 'refused', why: 'wrong-passphrase', ...known, ...locked }
  await Promise.all([attempts.forget('account', key), attempts.takeBack('address', from, now)])
  await remember(deps, subject.userId, from, now)
  return { outcome: 'verified', userId: subject.userId, verifierId }
}

/**
 * A person who signs in from where they did before is counted apart from everybody else: strangers who use up the
 * attempts of an account lock out strangers.
 */
async function bucketOf({ pool }: PassphraseDeps, name: string, from: string): Promise<string> {
  const { rowCount } = await pool.query(
    'select 1 from vault.familiar_address where user_id::text = $1 and address_index = $2',
    [name, from],
  )
  return rowCount === 1 ? `${name}:${from}` : `${name}:`
}

const FAMILIAR = 20

async function remember({ pool }: PassphraseDeps, userId: string, from: string, now: string): Promise<void> {
  await pool.query(
    `insert into vault.familiar_address (user_id, address_index, seen_at) values ($1, $2, $3)
     on conflict (user_id, address_index) do update set seen_at = $3`,
    [userId, from, now],
  )
  await pool.query(
    `delete from vault.familiar_address where user_id = $1 and address_index not in (
       select address_index from vault.familiar_address where user_id = $1 order by seen_at desc limit $2)`,
    [userId, FAMILIAR],
  )
}

/** Which of the passphrases kept for this person it is: there are two only while one is about to take the other's place. */
async function matching(
  { pool, keks, hashes }: PassphraseDeps,
  decoy: Decoy,
  subject: Subject | undefined,
  passphrase: string,
): Promise<string | undefined> {
  const { rows } = await pool.query<{ verifier_id: string; sealed: Buffer }>(
    'select verifier_id, sealed from vault.verifier where user_id::text = $1 order by active desc',
    [subject?.userId ?? ''],
  )
  const found = rows.map(({ verifier_id, sealed }) => ({ verifierId: verifier_id, sealed }))
  const real = subject && found.length > 0
  const verifiers = real ? found : [decoy.verifier]
  return await withSubjectKey(keks, real ? subject : decoy.key, async key => {
    let matched: string | undefined
    for (const { verifierId, sealed } of verifiers) {
      const hashed = key.open(recordOf(verifierId), sealed)
      if (await hashes.verify(hashed.toString('utf8'), passphrase)) matched ??= verifierId
      hashed.fill(0)
    }
    return real ? matched : undefined
  })
}

const recordOf = (verifierId: string) => `passphrase|${verifierId}`
