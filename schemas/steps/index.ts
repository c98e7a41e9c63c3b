import { z } from 'zod'
import { id } from '../kernel.ts'
import { stepBase } from './base.ts'
import { approval, jobRun, noop } from './control.ts'
import { fileGet, filePut } from './file.ts'
import { httpRequest } from './http.ts'
import { sshCommand, sshScript } from './ssh.ts'
import { waitTime, waitUntil } from './wait.ts'

const action = z.discriminatedUnion('uses', [
  z.strictObject(sshCommand),
  z.strictObject(sshScript),
  z.strictObject(filePut),
  z.strictObject(fileGet),
  z.strictObject(httpRequest),
  z.strictObject(waitTime),
  z.strictObject(waitUntil),
  z.strictObject(noop),
])
/** What can be done on a target. */
export type Action = z.output<typeof action>

const own = {
  ...stepBase,
  /** Done in reverse order, for every step that succeeded, when the target run fails later. */
  undo: action.optional(),
}

/** One step of a job version. Each kind has its schema beside this file and its runner in executors/steps. */
export const stepSchema = z.discriminatedUnion('uses', [
  z.strictObject({ ...own, ...sshCommand }),
  z.strictObject({ ...own, ...sshScript }),
  z.strictObject({ ...own, ...filePut }),
  z.strictObject({ ...own, ...fileGet }),
  z.strictObject({ ...own, ...httpRequest }),
  z.strictObject({ ...own, ...waitTime }),
  z.strictObject({ ...own, ...waitUntil }),
  z.strictObject({ ...own, ...noop }),
  z.strictObject({ ...stepBase, ...approval }),
  z.strictObject({ ...stepBase, ...jobRun }),
])
export type Step = z.output<typeof stepSchema>
export type StepKind = Step['uses']

/** Where a kind of step is carried out: by an executor, on each target by the reactors, or once for the whole run. */
export const placeOf: Readonly<Record<StepKind, 'executor' | 'target' | 'run'>> = {
  'ssh.command': 'executor',
  'ssh.script': 'executor',
  'file.put': 'executor',
  'file.get': 'executor',
  'http.request': 'executor',
  'wait.until': 'executor',
  noop: 'executor',
  'wait.time': 'target',
  approval: 'run',
  'job.run': 'run',
}

/** Values of `${{ }}` in a command line, by the names that stand for them there. */
export const shellVariables = z.record(z.string().regex(/^opsc_\d{1,4}$/), z.string())

/**
 * A step as an executor gets it: every expression in it replaced by its value. In a command line a value stands as a
 * shell variable, whose values are in `variables`, so that no value can become a part of the command.
 */
export const renderedStep = z.strictObject({
  id: z.string().max(60),
  action,
  variables: shellVariables.optional(),
  timeoutSeconds: z.int().min(1),
  silenceSeconds: z.int().min(1).optional(),
  continueOnError: z.boolean(),
  /** Complete by itself: the values it needs are set in it. */
  check: z.string().optional(),
  /** The credential whose secret goes to standard input, followed by nothing. */
  stdinCredentialId: id.optional(),
  /** The credential that a request shows to the other side, by TLS. */
  clientCertificateId: id.optional(),
  outputs: stepBase.outputs,
})
export type RenderedStep = z.output<typeof renderedStep>
