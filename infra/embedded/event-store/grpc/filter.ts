import { createContext, Script } from 'node:vm'
import type streams from '@eventstore/db-client/generated/streams_pb.js'
import type { StoredEvent } from '../store/reader.ts'
import { invalidArgument } from './errors.ts'

/** Answers, for each event of a page, whether the reader asked for it. */
export type Filter = { matches(events: StoredEvent[]): boolean[]; checkpointInterval: number }

const MAX_PATTERN_LENGTH = 1024
const MAX_PREFIXES = 1024
const REGEX_BUDGET_MS = 250
const DEFAULT_WINDOW = 32

/**
 * The server-side filter of a request, or undefined when it asks for everything. `checkpointInterval` is the number of
 * events looked at between two checkpoints: search window times multiplier. Throws INVALID_ARGUMENT.
 */
export function readFilter(options: streams.ReadReq.Options): Filter | undefined {
  const filter = options.getFilter()
  if (!filter) return undefined
  const expression = filter.getStreamIdentifier() ?? filter.getEventType()
  if (!expression) throw invalidArgument('A filter is on stream names or on event types.')
  const subject = (event: StoredEvent) => (filter.hasStreamIdentifier() ? event.header.stream : event.header.type)
  const test = expression.getRegex() ? regexTest(expression.getRegex()) : prefixTest(expression.getPrefixList())
  const window = filter.hasMax() ? filter.getMax() : DEFAULT_WINDOW
  return {
    matches: events => test(events.map(subject)),
    checkpointInterval: Math.max(1, window * Math.max(1, filter.getCheckpointintervalmultiplier())),
  }
}

function prefixTest(prefixes: string[]): (subjects: string[]) => boolean[] {
  if (prefixes.length > MAX_PREFIXES) throw invalidArgument(`A filter has at most ${MAX_PREFIXES} prefixes.`)
  return subjects => subjects.map(subject => prefixes.some(prefix => subject.startsWith(prefix)))
}

// A pattern from outside may backtrack for ever, so it runs under a time limit, one page at a time.
function regexTest(pattern: string): (subjects: string[]) => boolean[] {
  if (pattern.length > MAX_PATTERN_LENGTH) throw invalidArgument('The filter pattern is too long.')
  const sandbox: { pattern: RegExp; subjects: string[] } = { pattern: compile(pattern), subjects: [] }
  const context = createContext(sandbox)
  const script = new Script('subjects.map(subject => pattern.test(subject))')
  return subjects => {
    sandbox.subjects = subjects
    try {
      return script.runInContext(context, { timeout: REGEX_BUDGET_MS })
    } catch {
      throw invalidArgument('The filter pattern takes too long to match.')
    }
  }
}

function compile(pattern: string): RegExp {
  try {
    return new RegExp(pattern)
  } catch {
    throw invalidArgument('The filter pattern is not a regular expression.')
  }
}
