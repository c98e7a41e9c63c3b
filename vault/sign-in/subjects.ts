import type { Connection, Pool } from '../../infra/postgres.ts'
import type { SignInReply, SignInRequest } from '../../schemas/sign-in-bus.ts'
import type { KekProvider } from '../kek.ts'
import type { OwnKeys } from '../own-keys.ts'
import { loginIndex, normalLogin } from './login-index.ts'
import { newSubjectKey, type SubjectKey, type WrappedKey, withSubjectKey } from './subject-key.ts'

export type Profile = SignInReply<'profiles'>['profiles'][string]
type Row = { user_id: string; kek_id: string | null; wrapped_dek: Buffer | null; profile: Buffer | null }
/** A person whose data can still be read. */
export type Subject = WrappedKey & { sealedProfile: Buffer }

/** Who people are: names and addresses, sealed under a key of each person's own. */
export type Subjects = {
  create(person: SignInRequest<'create-subject'>, now: string): Promise<SignInReply<'create-subject'>>
  external(person: SignInRequest<'external-subject'>, now: string): Promise<SignInReply<'external-subject'>>
  change(change: SignInRequest<'change-profile'>): Promise<SignInReply<'change-profile'>>
  profiles(userIds: readonly string[]): Promise<Record<string, Profile>>
  byLogin(loginName: string): Promise<Subject | undefined>
  byId(userId: string): Promise<Subject | undefined>
  profileOf(subject: Subject, key: SubjectKey): Profile
}

const COLUMNS = 'user_id, kek_id, wrapped_dek, profile'
const PROFILE = 'profile'
const unique = '23505'

export function createSubjects(pool: Pool, keks: KekProvider, own: OwnKeys): Subjects {
  const find = async (where: string, value: string) => {
    const { rows } = await pool.query<Row>(`select ${COLUMNS} from vault.subject where ${where} = $1`, [value])
    return rows[0] && subjectOf(rows[0])
  }
  return {
    async create({ userId, ...profile }, now) {
      const wrapped = await newSubjectKey(keks, userId)
      const sealed = await withSubjectKey(keks, wrapped, key => sealProfile(key, profile))
      const index = loginIndex(own, profile.loginName)
      const { rowCount } = await pool.query(
        `insert into vault.subject (user_id, kek_id, wrapped_dek, login_index, profile, created_at)
         values ($1, $2, $3, $4, $5, $6) on conflict do nothing`,
        [userId, wrapped.kekId, wrapped.wrapped, index, sealed, now],
      )
      if (rowCount === 1) return { loginIndex: index }
      // The same request once more, of which the first answer may have got lost.
      const there = await find('user_id', userId)
      const known = there && (await withSubjectKey(keks, there, key => openProfile(there, key)))
      return { loginIndex: known && sameLogin(known, profile) ? index : null }
    },
    external: (person, now) => externalSubject(pool, keks, own, { person, now }),
    async change({ userId, ...wanted }) {
      const subject = await find('user_id', userId)
      if (!subject) return { outcome: 'unknown' }
      return await withSubjectKey(keks, subject, key => changeProfile(pool, own, { subject, key, wanted }))
    },
    async profiles(userIds) {
      const { rows } = await pool.query<Row>(`select ${COLUMNS} from vault.subject where user_id = any($1)`, [userIds])
      const found = rows.flatMap(row => subjectOf(row) ?? [])
      const opened = found.map(async subject => {
        const profile = await withSubjectKey(keks, subject, key => openProfile(subject, key))
        return [subject.userId, profile] as const
      })
      return Object.fromEntries(await Promise.all(opened))
    },
    byLogin: loginName => find('login_index', loginIndex(own, loginName)),
    byId: userId => find('user_id', userId),
    profileOf: openProfile,
  }
}

type External = { person: SignInRequest<'external-subject'>; now: string }

/** Of two who come at the same moment for the first time, both find what one of them made. */
async function externalSubject(
  pool: Pool,
  keks: KekProvider,
  own: OwnKeys,
  { person: { userId, issuer, subject, displayName, email }, now }: External,
): Promise<SignInReply<'external-subject'>> {
  const index = own.fingerprint('external-index', Buffer.from(JSON.stringify([issuer, subject])))
  const known = async () => {
    const found = await pool.query<Row>(`select ${COLUMNS} from vault.subject where external_index = $1`, [index])
    return found.rows[0]?.user_id
  }
  const there = await known()
  if (there !== undefined) return { userId: there, loginIndex: index }
  const wrapped = await newSubjectKey(keks, userId)
  const profile = { loginName: `oidc:${userId}`, displayName, email }
  const sealed = await withSubjectKey(keks, wrapped, key => sealProfile(key, profile))
  const { rowCount } = await pool.query(
    `insert into vault.subject (user_id, kek_id, wrapped_dek, login_index, external_index, profile, created_at)
     values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing`,
    [userId, wrapped.kekId, wrapped.wrapped, loginIndex(own, profile.loginName), index, sealed, now],
  )
  const made = rowCount === 1 ? userId : await known()
  if (made === undefined) throw new Error('an external person could neither be made nor found')
  return { userId: made, loginIndex: index }
}

function subjectOf({ user_id, kek_id, wrapped_dek, profile }: Row): Subject | undefined {
  if (!kek_id || !wrapped_dek || !profile) return undefined
  return { userId: user_id, kekId: kek_id, wrapped: wrapped_dek, sealedProfile: profile }
}

const sealProfile = (key: SubjectKey, profile: Profile): Buffer =>
  key.seal(PROFILE, Buffer.from(JSON.stringify(profile)))

function openProfile({ sealedProfile }: Subject, key: SubjectKey): Profile {
  const opened = key.open(PROFILE, sealedProfile)
  try {
    // Written by sealProfile, and authentic.
    return JSON.parse(opened.toString('utf8')) as Profile
  } finally {
    opened.fill(0)
  }
}

const sameLogin = (a: Profile, b: Profile) => normalLogin(a.loginName) === normalLogin(b.loginName)

type Change = {
  subject: Subject
  key: SubjectKey
  wanted: Omit<SignInRequest<'change-profile'>, 'userId'>
}

/** Of somebody who was erased in the meantime nothing comes back. */
const CHANGE = 'update vault.subject set profile = $2, login_index = $3 where user_id = $1 and wrapped_dek is not null'

async function changeProfile(
  on: Pool | Connection,
  own: OwnKeys,
  { subject, key, wanted }: Change,
): Promise<SignInReply<'change-profile'>> {
  const before = openProfile(subject, key)
  const given = Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined))
  const after = { ...before, ...given }
  const fields = (['loginName', 'displayName', 'email'] as const).filter(field => before[field] !== after[field])
  if (fields.length === 0) return { outcome: 'changed', fields }
  const index = loginIndex(own, after.loginName)
  const sealed = sealProfile(key, after)
  try {
    const { rowCount } = await on.query(CHANGE, [subject.userId, sealed, index])
    if (rowCount !== 1) return { outcome: 'unknown' }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === unique) return { outcome: 'taken' }
    throw error
  }
  return { outcome: 'changed', fields, ...(fields.includes('loginName') && { loginIndex: index }) }
}
