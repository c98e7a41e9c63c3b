import type { OwnKeys } from '../own-keys.ts'

/** Two ways of typing one name are one name: blanks around it, case and the forms of Unicode make no difference. */
export const normalLogin = (loginName: string): string =>
  loginName.normalize('NFKC').trim().replace(/\s+/gu, ' ').toLowerCase().normalize('NFKC')

/** Keyed (HMAC-SHA256), so that names cannot be tried out on what the log holds. */
export const loginIndex = ({ fingerprint }: Pick<OwnKeys, 'fingerprint'>, loginName: string): string =>
  fingerprint('login-index', Buffer.from(normalLogin(loginName)))

/** The same for network addresses, which are personal data too. */
export const addressIndex = ({ fingerprint }: Pick<OwnKeys, 'fingerprint'>, address: string): string =>
  fingerprint('address-index', Buffer.from(address))
