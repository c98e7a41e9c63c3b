import { parseOptions } from '../options.ts'
import { isKnown, type Stream, silence, somewhere, textStream } from '../stream.ts'
import { mark } from '../text.ts'
import { processSource } from './expander.ts'
import { isSecretFile } from './paths.ts'
import { decodeEscapes } from './printf.ts'
import type { Call } from './walk-types.ts'

const fromNetwork = new Set([
  'curl',
  'wget',
  'fetch',
  'http',
  'https',
  'httpie',
  'lynx',
  'aria2c',
  'axel',
  'nc',
  'ncat',
  'netcat',
  'socat',
  'ftp',
  'lwp-request',
  'GET',
  'w3m',
])
const decoders = new Set([
  'base64',
  'base32',
  'basenc',
  'xxd',
  'openssl',
  'uudecode',
  'gzip',
  'gunzip',
  'zcat',
  'bzip2',
  'xz',
  'rev',
  'tr',
  'gpg',
  'hexdump',
  'od',
  'zstd',
  'ascii85',
])
/** Programs made for `eval "$(…)"`: they print settings of their own. */
const printsSettings = new Set([
  'ssh-agent',
  'dircolors',
  'direnv',
  'brew',
  'pyenv',
  'rbenv',
  'nodenv',
  'starship',
  'zoxide',
  'keychain',
  'gpg-agent',
  'resize',
  'fnm',
  'lesspipe',
  'mise',
  'conda',
  'docker-machine',
  'minikube',
  'opam',
  'luarocks',
])
/** Numbers, dates, names: values that hold no path. */
const short = new Set([
  'date',
  'hostname',
  'uname',
  'id',
  'whoami',
  'nproc',
  'uuidgen',
  'wc',
  'basename',
  'logname',
  'tty',
  'arch',
  'expr',
  'seq',
  'cksum',
  'md5sum',
  'sha256sum',
  'lsb_release',
  'getconf',
  'pgrep',
  'pidof',
  'stat',
  'jot',
  'mcookie',
  'dpkg-query',
  'rpm',
  'git',
])
const readers = new Set([
  'cat',
  'head',
  'tail',
  'tac',
  'less',
  'more',
  'strings',
  'nl',
  'grep',
  'egrep',
  'awk',
  'sed',
  'cut',
  'sort',
  'uniq',
  'tar',
  'zip',
  'gzip',
  'base64',
  'xxd',
  'od',
  'hexdump',
  'dd',
  'cp',
  'openssl',
  'gpg',
  'xz',
  'bzip2',
  'zstd',
  'tee',
  'rev',
  'tr',
  'env',
  'printenv',
  'unshadow',
  'wc',
])

/** What a command would print, where that can be told without running it. */
export function outputOf(call: Call): Stream {
  const { verb, args, walk } = call
  const secret = readsSecret(call)
  if (verb === 'echo') return echo(args)
  if (verb === 'cat' || verb === 'tee') return secret ? { ...somewhere, secret } : copy(call)
  if (fromNetwork.has(verb)) return { text: null, from: 'network', secret: false }
  if (decoders.has(verb)) return decode(call, secret)
  if (verb === 'pwd') return textStream(`${walk.state.cwd}\n`)
  if (verb === 'mktemp') return textStream(`/tmp/tmp.${mark.some}\n`)
  if (verb === 'which' || verb === 'type') return textStream(`${args.find(arg => !arg.startsWith('-')) ?? ''}\n`)
  if (verb === 'dirname') return textStream(`${(args.at(-1) ?? '').replace(/\/[^/]*$/, '') || '/'}\n`)
  if (short.has(verb)) return { ...textStream(mark.some), secret: secret && verb !== 'wc' }
  if (verb === 'true' || verb === 'false' || verb === ':') return silence
  if (printsSettings.has(verb)) return textStream('true\n')
  if (verb === 'yes') return textStream(`${args[0] ?? 'y'}\n`)
  if (verb === 'ls') return textStream(list(args))
  return { text: null, from: walk.stdin.from === 'network' ? 'network' : 'somewhere', secret }
}

function readsSecret({ verb, args, walk }: Call): boolean {
  if (walk.stdin.secret) return true
  return readers.has(verb) && args.some(arg => isSecretFile(arg.replace(/^if=/, ''), walk.state.cwd))
}

function echo(args: string[]): Stream {
  const options = args.findIndex(arg => !/^-[neE]+$/.test(arg))
  const words = options < 0 ? [] : args.slice(options)
  const escapes = args.slice(0, Math.max(0, options)).some(arg => arg.includes('e'))
  const text = words.join(' ')
  if (text.includes(mark.secret)) return { ...somewhere, secret: true }
  return textStream(`${escapes ? decodeEscapes(text) : text}\n`)
}

function copy({ args, verb, walk }: Call): Stream {
  const files = verb === 'tee' ? [] : parseOptions(args).words
  if (files.length === 0) return walk.stdin
  if (files.length > 1) return somewhere
  const [file = ''] = files
  return file === '-' || file === '/dev/stdin' ? walk.stdin : (processSource(file, walk) ?? somewhere)
}

// What can be decoded is; what cannot is text that was hidden.
function decode({ verb, args, walk }: Call, secret: boolean): Stream {
  const hidden: Stream = { text: null, from: walk.stdin.from === 'network' ? 'network' : 'decoder', secret }
  if (!isKnown(walk.stdin) || walk.stdin.text === '') return hidden
  const { text } = walk.stdin
  const { flags } = parseOptions(args)
  const decodes = ['-d', '-D', '--decode'].some(flag => flags.has(flag)) || (verb === 'openssl' && args.includes('-d'))
  if ((verb === 'base64' || (verb === 'openssl' && args.some(arg => /^(base64|-base64|-a)$/.test(arg)))) && decodes)
    return textStream(Buffer.from(text, 'base64').toString('utf8'))
  if (verb === 'xxd' && flags.has('-r'))
    return textStream(Buffer.from(text.replace(/\s+/g, ''), 'hex').toString('utf8'))
  if (verb === 'rev')
    return textStream(
      text
        .split('\n')
        .map(line => [...line].reverse().join(''))
        .join('\n'),
    )
  if (verb === 'tr') return textStream(translate(text, args))
  return hidden
}

function translate(text: string, args: string[]): string {
  const { flags, words } = parseOptions(args)
  const [from = '', to = ''] = words.map(word => range(decodeEscapes(word)))
  if (flags.has('-d')) return [...text].filter(character => !from.includes(character)).join('')
  if (flags.has('-c') || flags.has('-C') || from.includes('[:')) return mark.unknown
  return [...text]
    .map(character => (from.includes(character) && to ? (to[from.indexOf(character)] ?? to.at(-1) ?? '') : character))
    .join('')
}

function range(set: string): string {
  return set.replace(/(.)-(.)/gs, (_, first: string, last: string) => {
    const [from, to] = [first.charCodeAt(0), last.charCodeAt(0)]
    return to < from
      ? first + last
      : Array.from({ length: Math.min(to - from + 1, 256) }, (_, index) => String.fromCharCode(from + index)).join('')
  })
}

function list(args: string[]): string {
  const { words } = parseOptions(args)
  return words.length > 0 ? `${words.join('\n')}\n` : `${mark.star}\n`
}
