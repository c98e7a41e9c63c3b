import { EgressFailure, sendGuarded } from '../../infra/egress.ts'
import type { FailureClass } from '../../schemas/failure.ts'
import type { Action } from '../../schemas/steps/index.ts'
import { probe } from '../remote/probe.ts'
import { SshFailure } from '../ssh/failure.ts'
import { openSocket } from '../ssh/socket.ts'
import { pause } from '../wait.ts'
import type { Runner, StepEnd, StepTools } from './runner.ts'

type WaitUntil = Extract<Action, { uses: 'wait.until' }>
type Asked = WaitUntil['with']['probe']
/** `end`: it makes no sense to ask again. */
type Answer = { yes: true } | { yes: false; why: string } | { end: StepEnd }

const PROBE_MS = 60_000
const LARGEST_ANSWER = 10_485_760
/** A target that is not up yet fails like this; other failures do not go away by themselves. */
const passing: ReadonlySet<FailureClass> = new Set([
  ...(['dns', 'unreachable', 'refused', 'channel-refused', 'lost-before-start', 'timed-out'] as const),
  ...(['command-not-found', 'exit-nonzero', 'killed-by-signal', 'unexpected-answer'] as const),
])

/** Asks until the answer is yes. Its output says each new reason why not. */
export const waitUntil: Runner<WaitUntil> = {
  connects: false,
  run: async ({ with: { probe: asked, intervalSeconds } }, tools) => {
    const { signal, begin, alive, output } = tools
    begin()
    const told = output()
    for (let last = ''; ; ) {
      const answer = await ask(asked, tools)
      if ('end' in answer) return answer.end
      if (answer.yes) return { kind: 'succeeded', exitCode: 0 }
      if (answer.why !== last) told.push('stdout', Buffer.from(`not yet: ${answer.why}\n`))
      last = answer.why
      alive()
      if (!signal.aborted) await pause(intervalSeconds * 1_000, signal)
      if (signal.aborted) return { kind: 'stopped', termination: 'terminated', detail: `not yet: ${last}` }
    }
  },
}

function ask(asked: Asked, tools: StepTools): Promise<Answer> {
  switch (asked.kind) {
    case 'command':
      return byCommand(asked.command, tools)
    case 'tcp':
      return byTcp(asked.port, tools)
    case 'http':
      return byHttp(asked.url, asked.status, tools)
  }
}

async function byCommand(command: string, { step, link, signal }: StepTools): Promise<Answer> {
  const end = await probe({ command, variables: step.variables ?? {}, link, signal, forMs: PROBE_MS })
  switch (end.kind) {
    case 'succeeded':
      return { yes: true }
    case 'lost':
      return { yes: false, why: end.detail }
    case 'failed':
      return passing.has(end.class) ? { yes: false, why: end.detail } : { end }
    case 'stopped':
      if (signal.aborted) return { end }
      return { yes: false, why: `the command did not end in ${PROBE_MS / 1_000} s: ${end.detail}` }
  }
}

async function byTcp(port: number, { target, connectMs, signal }: StepTools): Promise<Answer> {
  try {
    const socket = await openSocket({ address: target.address, port }, connectMs, signal)
    socket.on('error', () => undefined).destroy()
    return { yes: true }
  } catch (error) {
    if (error instanceof SshFailure) return { yes: false, why: error.message }
    throw error
  }
}

async function byHttp(url: string, wanted: number | undefined, tools: StepTools): Promise<Answer> {
  const { egress, connectMs, signal } = tools
  const limit = AbortSignal.any([signal, AbortSignal.timeout(PROBE_MS)])
  const request = { method: 'GET', url, headers: {}, followRedirects: 0, maxBytes: LARGEST_ANSWER }
  try {
    const { status } = await sendGuarded(egress, { ...request, connectMs, signal: limit })
    const yes = wanted === undefined ? status >= 200 && status < 300 : status === wanted
    return yes ? { yes } : { yes, why: `the status is ${status}` }
  } catch (error) {
    if (!(error instanceof EgressFailure)) throw error
    if (error.class === 'policy-denied') return { end: { kind: 'failed', class: error.class, detail: error.message } }
    return { yes: false, why: error.message.slice(0, 400) }
  }
}
