import { randomBytes } from 'node:crypto'
import type { Pool } from '../../infra/postgres.ts'
import type { SignInReply, SignInRequest } from '../../schemas/sign-in-bus.ts'
import { aad } from '../aad.ts'
import { decrypt, encrypt, NotAuthentic, pack, unpack } from '../aes-gcm.ts'
import type { OwnKeys } from '../own-keys.ts'

const FORMAT = 1
const LIFE_MS = 10 * 60_000
/** Remembered beyond their end, for vaults whose clocks are not quite the same. */
const MARGIN_MS = 5 * 60_000
/** Taken ones that are remembered at once: one address brings less than half of that. */
const MOST_TAKEN = 100_000
const ID_BYTES = 16
/** `opsb_<id>_<sealed>`: a key of its own for each, so that no two are ever sealed with the same one. */
const SHAPE = /^opsb_([0-9a-f]{32})_([A-Za-z0-9_-]+)$/

type Kept = SignInRequest<'keep-begun'>['kept'] & { until: number }
export type BegunDeps = { pool: Pool; own: OwnKeys; mostTaken?: number }

/** Nothing is stored here before it comes back, so that beginning fills nothing. */
export function keepBegun(
  { own }: Pick<BegunDeps, 'own'>,
  { issuer, state, kept }: SignInRequest<'keep-begun'>,
  now: string,
): SignInReply<'keep-begun'> {
  const id = randomBytes(ID_BYTES).toString('hex')
  const content: Kept = { ...kept, until: Date.parse(now) + LIFE_MS }
  const box = encrypt(keyOf(own, id), Buffer.from(JSON.stringify(content)), boundTo(issuer, state))
  return { begun: `opsb_${id}_${pack(box).toString('base64url')}` }
}

/** Each once, whoever asks and however many at the same moment. */
export async function takeBegun(
  { pool, own, mostTaken = MOST_TAKEN }: BegunDeps,
  { issuer, state, begun }: SignInRequest<'take-begun'>,
  now: string,
): Promise<SignInReply<'take-begun'>> {
  const [, id, sealed] = SHAPE.exec(begun) ?? []
  const kept = id && sealed ? opened(keyOf(own, id), sealed, boundTo(issuer, state)) : undefined
  if (!kept) return { outcome: 'refused', why: 'unknown' }
  const { until, ...rest } = kept
  if (Date.parse(now) >= until) return { outcome: 'refused', why: 'expired' }
  const forgotten = new Date(Date.parse(now) - MARGIN_MS).toISOString()
  await pool.query('delete from vault.begun_taken where until <= $1', [forgotten])
  const { rowCount } = await pool.query(TAKE, [id, new Date(until).toISOString(), mostTaken])
  if (rowCount === 1) return { outcome: 'taken', kept: rest }
  const { rowCount: known } = await pool.query('select 1 from vault.begun_taken where begun_id = $1', [id])
  return { outcome: 'refused', why: known === 1 ? 'taken' : 'too-many' }
}

const TAKE = `insert into vault.begun_taken (begun_id, until)
  select $1, $2 where (select count(*) from (select from vault.begun_taken limit $3) t) < $3
  on conflict do nothing`

const keyOf = (own: OwnKeys, id: string): Buffer =>
  Buffer.from(own.fingerprint('begun-sign-in', Buffer.from(id)), 'hex')
const boundTo = (issuer: string, state: string): Buffer => aad(FORMAT, 'begun-sign-in', issuer, state)

function opened(key: Buffer, sealed: string, bound: Buffer): Kept | undefined {
  try {
    const content = decrypt(key, unpack(Buffer.from(sealed, 'base64url')), bound)
    // Written by keepBegun, and authentic.
    return JSON.parse(content.toString('utf8')) as Kept
  } catch (error) {
    if (error instanceof NotAuthentic) return undefined
    throw error
  }
}
