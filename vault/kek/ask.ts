import { EgressFailure, type EgressPolicy, sendGuarded } from '../../infra/egress.ts'

const CONNECT_MS = 2_000
const ANSWER_MS = 4_000
const MAX_BYTES = 256 * 1024

export type Asked = { method: string; url: string; headers: Record<string, string>; body?: string }
export type Answered = { status: number; body: Record<string, unknown> }

/**
 * One question to a service of JSON over HTTP that has to do with keys: to where the policy lets it, never redirected,
 * within four seconds. `failed` makes the error of its caller out of what went wrong, which never quotes an answer.
 */
export async function askJson(policy: EgressPolicy, asked: Asked, failed: (why: string) => Error): Promise<Answered> {
  const answer = await sendGuarded(policy, {
    ...asked,
    ...{ followRedirects: 0, maxBytes: MAX_BYTES, connectMs: CONNECT_MS, signal: AbortSignal.timeout(ANSWER_MS) },
  }).catch(err => {
    if (err instanceof EgressFailure) throw failed(err.message)
    throw err
  })
  return { status: answer.status, body: parse(answer.body) }
}

/** What is no object of JSON says as little as an empty one. */
function parse(body: Buffer): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(body.toString('utf8'))
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed) ? { ...parsed } : {}
  } catch {
    return {}
  } finally {
    body.fill(0)
  }
}
