/** What a client says, see the NATS client protocol: https://docs.nats.io/reference/reference-protocols/nats-protocol */
export type Operation =
  | { op: 'connect'; json: string }
  | { op: 'ping' }
  | { op: 'pong' }
  | { op: 'publish'; subject: string; replyTo: string; headerBytes: number; payload: Buffer }
  | { op: 'subscribe'; subject: string; queue: string; sid: string }
  | { op: 'unsubscribe'; sid: string; max: number }

export type Verb = 'CONNECT' | 'PING' | 'PONG' | 'PUB' | 'HPUB' | 'SUB' | 'UNSUB'

export type PublishLine = { subject: string; replyTo: string; headerBytes: number; totalBytes: number }

/** The client broke the protocol: it is told the message and disconnected. The texts are nats-server's. */
export class ProtocolError extends Error {
  override name = 'ProtocolError'
}

const verbs: ReadonlySet<string> = new Set<Verb>(['CONNECT', 'PING', 'PONG', 'PUB', 'HPUB', 'SUB', 'UNSUB'])

/** Splits a control line, without its line end, into the verb, in upper case, and the rest. Throws ProtocolError. */
export function readVerb(line: string): { verb: Verb; rest: string } {
  const end = line.search(/[ \t]/)
  const word = (end === -1 ? line : line.slice(0, end)).toUpperCase()
  if (!isVerb(word)) throw new ProtocolError('Unknown Protocol Operation')
  return { verb: word, rest: end === -1 ? '' : line.slice(end).trim() }
}

/** Every operation that is one line. Throws ProtocolError. */
export function readOperation(verb: Exclude<Verb, 'PUB' | 'HPUB'>, rest: string): Operation {
  switch (verb) {
    case 'CONNECT':
      return { op: 'connect', json: Buffer.from(rest, 'latin1').toString('utf8') }
    case 'PING':
      return { op: 'ping' }
    case 'PONG':
      return { op: 'pong' }
    case 'SUB':
      return readSubscribe(rest)
    case 'UNSUB':
      return readUnsubscribe(rest)
  }
}

/** `PUB <subject> [reply-to] <#bytes>`, `HPUB <subject> [reply-to] <#header bytes> <#total bytes>`. */
export function readPublish(verb: 'PUB' | 'HPUB', rest: string): PublishLine {
  const words = split(rest)
  const sizes = verb === 'PUB' ? words.splice(-1) : words.splice(-2)
  const [subject, replyTo = '', ...more] = words
  const [first, second = first] = sizes.map(readSize)
  if (subject === undefined || first === undefined || second === undefined || more.length > 0) throw parserError()
  if (verb === 'PUB') return { subject, replyTo, headerBytes: 0, totalBytes: first }
  if (sizes.length < 2 || first === 0 || first > second) throw parserError()
  return { subject, replyTo, headerBytes: first, totalBytes: second }
}

/** `SUB <subject> [queue group] <sid>` */
function readSubscribe(rest: string): Operation {
  const words = split(rest)
  const sid = words.pop()
  const [subject, queue = '', ...more] = words
  if (sid === undefined || subject === undefined || more.length > 0) throw parserError()
  return { op: 'subscribe', subject, queue, sid }
}

/** `UNSUB <sid> [max messages]`; 0 stands for at once. */
function readUnsubscribe(rest: string): Operation {
  const [sid, max = '0', ...more] = split(rest)
  if (sid === undefined || more.length > 0) throw parserError()
  return { op: 'unsubscribe', sid, max: readSize(max) }
}

export function parserError(): ProtocolError {
  return new ProtocolError('Parser Error')
}

function isVerb(word: string): word is Verb {
  return verbs.has(word)
}

function split(rest: string): string[] {
  return rest === '' ? [] : rest.split(/[ \t]+/)
}

function readSize(word: string): number {
  if (!/^\d{1,10}$/.test(word)) throw parserError()
  return Number(word)
}
