import { createHash, timingSafeEqual } from 'node:crypto'
import type { Metadata } from '@grpc/grpc-js'
import { accessDenied } from './errors.ts'

export type Credentials = { username: string; password: string }

/** Throws UNAUTHENTICATED unless a call may go on. */
export type Guard = (call: { metadata: Metadata }) => void

/** Lets only calls through that carry these credentials as HTTP Basic (RFC 7617); without credentials, every call. */
export function buildGuard(credentials: Credentials | undefined): Guard {
  if (!credentials) return () => {}
  const basic = Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')
  const expected = digest(`Basic ${basic}`)
  return call => {
    const given = call.metadata.get('authorization')
    const isRight = given.length === 1 && timingSafeEqual(digest(String(given[0])), expected)
    if (!isRight) throw accessDenied()
  }
}

const digest = (text: string) => createHash('sha256').update(text).digest()
