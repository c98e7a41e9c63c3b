import type { Test } from 'tap'
import type { HttpAnswer } from '../../infra/http/index.ts'
import type { CommandApi } from './command-api.ts'

/** The id in the name of a stream. */
export const idIn = (stream: string): string => stream.slice(stream.indexOf('-') + 1)

/** The body of an answer that is good. */
export function done(answer: HttpAnswer) {
  if (answer.statusCode >= 300) throw new Error(`${answer.statusCode} ${answer.body}`)
  return answer.json()
}
export const ok = async (sent: Promise<HttpAnswer>) => done(await sent)

/** The problem (RFC 9457) that something was refused with, which is to be this one. */
export async function refused(
  t: Test,
  sent: Promise<HttpAnswer>,
  status: number,
  code: string,
  { what, detail }: { what?: string; detail?: string | RegExp } = {},
) {
  const answer = await sent
  const body = answer.json()
  const said = `${what ?? code}: ${answer.body}`
  t.same([answer.statusCode, body.type], [status, `urn:opsconductor:problem:${code}`], said)
  t.match(answer.headers['content-type'], /^application\/problem\+json/, said)
  if (detail !== undefined) t.match(body.detail, detail)
  return body
}

/** Commands as specs send them: by somebody, who is `ann` unless it is said. */
export function commanding(api: Pick<CommandApi, 'send'>) {
  const sendAs = (who: string, name: string, data: object, headers: Record<string, string> = {}) =>
    api.send(name, data, { authorization: `Bearer ${who}`, ...headers })
  /** Answers the id of what was made. */
  const create = async (name: string, data: object, who = 'ann'): Promise<string> =>
    idIn((await ok(sendAs(who, name, data))).stream)
  return { sendAs, create }
}
