import { EgressFailure, type EgressResponse, sendGuarded } from '../../infra/egress.ts'
import type { OutputValue } from '../../schemas/expression.ts'
import type { Action } from '../../schemas/steps/index.ts'
import { atPointer } from '../output/json-pointer.ts'
import { SshFailure } from '../ssh/failure.ts'
import type { Runner, StepEnd } from './runner.ts'

type HttpRequest = Extract<Action, { uses: 'http.request' }>
type Expect = HttpRequest['with']['expect']

/** Sends a request from here. What comes back is the step's output. */
export const httpRequest: Runner<HttpRequest> = {
  connects: false,
  run: async ({ with: wanted }, { egress, signal, mayBegin, begin, connectMs, output, step, certificate }) => {
    if (step.clientCertificateId !== undefined && !certificate)
      return { kind: 'failed', class: 'credential-unavailable', detail: 'the credential is no client certificate' }
    begin()
    const { method, url, headers = {}, body, followRedirects, maxBytes, expect } = wanted
    const request = { method, url, headers, followRedirects, maxBytes, signal, certificate }
    try {
      const within = Math.min(connectMs, mayBegin())
      const answer = await sendGuarded(egress, { ...request, connectMs: within, ...(body !== undefined && { body }) })
      output().push('stdout', answer.body)
      const wrong = unexpected(answer, expect)
      if (wrong !== undefined) return { kind: 'failed', class: 'unexpected-answer', detail: wrong }
      return { kind: 'succeeded', exitCode: 0, outputs: { status: answer.status } }
    } catch (error) {
      if (error instanceof EgressFailure) return failed(error, method)
      if (error instanceof SshFailure) return { kind: 'failed', class: error.class, detail: error.message }
      throw error
    }
  },
}

/** A request that asks for a change and got no answer may have made it. */
function failed({ class: failureClass, message, sent }: EgressFailure, method: string): StepEnd {
  const detail = message.slice(0, 500)
  const mayHaveChanged = sent && method !== 'GET' && method !== 'HEAD'
  if (failureClass === 'stopped') {
    return { kind: 'stopped', termination: mayHaveChanged ? 'unconfirmed' : 'terminated', detail }
  }
  if (failureClass === 'unreachable' && mayHaveChanged) return { kind: 'lost', detail }
  return { kind: 'failed', class: failureClass, detail }
}

/** What is not as expected. The answer itself stays out of it: it is output. */
function unexpected({ status, body }: EgressResponse, expect: Expect): string | undefined {
  const wanted = expect?.status
  const isWanted = wanted ? wanted.includes(status) : status >= 200 && status < 300
  if (!isWanted) return `the status is ${status}, expected ${wanted?.join(' or ') ?? '2xx'}`
  const pointers = Object.entries(expect?.json ?? {})
  if (pointers.length === 0) return undefined
  let parsed: OutputValue
  try {
    // JSON.parse yields JSON and nothing else.
    parsed = JSON.parse(body.toString()) as OutputValue
  } catch {
    return 'the answer is not JSON'
  }
  const wrong = pointers.find(([pointer, value]) => atPointer(parsed, pointer) !== value)
  return (
    wrong && `what is at ${wrong[0] === '' ? 'the top' : wrong[0]} is not ${JSON.stringify(wrong[1])}`.slice(0, 500)
  )
}
