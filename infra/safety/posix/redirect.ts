import type { Redirection } from 'unbash'
import { emit, plainFact } from '../facts.ts'
import { type Stream, silence, somewhere, textStream } from '../stream.ts'
import { mark } from '../text.ts'
import { expandQuoted, expandValues } from './expand.ts'
import { expanderFor, processSource } from './expander.ts'
import { harmlessDevices } from './path-tables.ts'
import { isSecretFile, judgePath } from './paths.ts'
import type { Applied, Walk } from './walk-types.ts'

const writes = new Set(['>', '>>', '>|', '&>', '&>>', '<>', '>&'])
/** A socket of bash's own: a shell tied to one is a shell in somebody else's hands. */
const socket = /^\/dev\/(tcp|udp)\//

/** Emits what the redirections themselves do to files and devices; answers what they mean for the command. */
export function applyRedirects(redirects: readonly Redirection[], verb: string, walk: Walk): Applied {
  const applied: Applied = { stdin: null, written: [], tcp: false, output: false }
  for (const redirect of redirects) {
    if (redirect.type === 'HereDoc') applied.stdin = hereDocument(redirect, walk)
    else if (redirect.type === 'HereString') applied.stdin = hereString(redirect, walk)
    else
      for (const target of redirect.target ? expandValues(redirect.target, expanderFor(walk)) : [])
        open(redirect, target, applied, verb, walk)
  }
  return applied
}

function open(
  { operator, descriptor }: Extract<Redirection, { type: 'Redirect' }>,
  target: string,
  applied: Applied,
  verb: string,
  walk: Walk,
): void {
  if (/^(-|\d+-?)$/.test(target) && operator.endsWith('&')) return
  if (socket.test(target)) applied.tcp = true
  if (operator === '<' || operator === '<>') {
    const piped = processSource(target, walk)
    applied.stdin = piped ?? { ...somewhere, secret: isSecretFile(target, walk.scope.cwd) }
  }
  if (!writes.has(operator)) return
  const standardOutput = descriptor?.type !== 'FileDescriptor' || descriptor.value === 1
  if (standardOutput) applied.output = true
  applied.written.push(target)
  const { path, kinds } = judgePath(target, walk.state.cwd)
  if (harmlessDevices.test(path)) return
  const effect = kinds.includes('disk') ? 'wipe' : operator.endsWith('>>') ? 'append' : 'overwrite'
  const scope = { ...walk.scope, cwd: walk.state.cwd }
  emit(walk.session, { ...plainFact(verb, [], scope), effect, targets: [path], kinds, redirects: [target] })
}

function hereDocument({ body, delimiter }: Extract<Redirection, { type: 'HereDoc' }>, walk: Walk): Stream {
  if (delimiter?.quoted || !body.parts) return textStream(body.text)
  const texts = expandQuoted(body.parts, expanderFor(walk))
  return textStream(texts.length === 1 ? (texts[0] ?? '') : texts.join('\n'))
}

function hereString({ target }: Extract<Redirection, { type: 'HereString' }>, walk: Walk): Stream {
  if (!target) return silence
  const text = expandValues(target, expanderFor(walk)).join('\n')
  return text.includes(mark.secret) ? { ...somewhere, secret: true } : textStream(`${text}\n`)
}
