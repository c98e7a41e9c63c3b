import { mark } from '../text.ts'
import { decodeEscapes } from './printf.ts'
import { emitFact, reportPaths } from './report.ts'
import type { Call } from './walk-types.ts'

const literal =
  /(?:"""([\s\S]*?)"""|'''([\s\S]*?)'''|"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|`([^`]*)`|q[qwx]?[{(]([^})]*)[})])/g

/** Calls that start programs, in the languages that take code on the command line. */
const starts =
  /\b(?:os\.(?:system|popen|exec[lv]p?e?|spawn\w*)|subprocess\.\w+|commands\.getoutput|pty\.spawn|system|exec|execSync|execFile(?:Sync)?|spawn(?:Sync)?|popen|shell_exec|passthru|proc_open|IO\.popen|Open3\.\w+|qx|os\.execute|io\.popen|do shell script)\s*(?=[('"\s[{])/g
/** Calls that delete trees, and calls that delete one thing. */
const removesTree =
  /\b(?:shutil\.rmtree|fs\.(?:promises\.)?(?:rm|rmdir)(?:Sync)?|rmSync|FileUtils\.(?:rm_rf?|remove_(?:dir|entry\w*)|rmtree)|remove_tree|rmtree)\s*(?=[('"\s])/g
const removes =
  /\b(?:os\.(?:remove|unlink|rmdir|removedirs)|fs\.(?:promises\.)?unlink(?:Sync)?|unlinkSync|File\.(?:delete|unlink)|Dir\.(?:rmdir|delete)|unlink|os\.truncate)\s*(?=[('"\s])/g
const writesFile =
  /\b(?:open|fopen|File\.(?:open|write)|fs\.(?:writeFile|appendFile|createWriteStream)(?:Sync)?|file_put_contents|writeFileSync)\s*(?=[('"\s])/g
const hides =
  /\b(?:exec|eval|compile|Function|instance_eval)\b[\s\S]{0,80}\b(?:b64decode|base64_decode|base64|fromhex|unhexlify|fromCharCode|chr|decode|decode64|gzinflate|atob|unpack|codecs|zlib)\b/
const dials = /\b(?:socket|Socket|TCPSocket|fsockopen|net\.(?:connect|Socket|createConnection)|IO::Socket)\b/
const handsOver =
  /dup2|pty\.spawn|\/bin\/(?:ba|da|z)?sh|\bsh -i|subprocess|child_process|cmd\.exe|open\s*\(\s*STDIN|exec\s*\(/
const forks = /\bwhile\b[\s\S]{0,40}\bfork\b|\bfork\b[\s\S]{0,20}\bwhile\b|(?:os\.fork\(\)\s*;?\s*){2}|loop\s*\{\s*fork/

/** Code in another language: what can be seen of it is judged, and any that starts programs or deletes asks for a person. */
export function judgeInline(code: string, call: Call): void {
  const tied = dials.test(code) && handsOver.test(code)
  const effect = tied ? 'reverse-shell' : forks.test(code) ? 'fork-bomb' : hides.test(code) ? 'hidden-code' : null
  const started = argumentsOf(code, starts)
  const ticks = /^(perl|ruby|php)/.test(call.verb)
    ? [...code.matchAll(/`([^`]+)`/g)].map(match => [match[1] ?? ''])
    : []
  const trees = argumentsOf(code, removesTree)
  const files = argumentsOf(code, removes)
  for (const words of [...started, ...ticks]) start(words, call)
  for (const paths of trees) reportPaths(call, 'delete', paths.slice(0, 1), { recursive: true })
  for (const paths of files) reportPaths(call, 'delete', paths.slice(0, 1))
  for (const [path = '', mode = 'w'] of argumentsOf(code, writesFile))
    if (/^[wax+>]/.test(mode) || !/^r/.test(mode)) writeTo(path, mode, call)
  const acts =
    started.length + ticks.length + trees.length + files.length > 0 || /\bPath\s*\(.*\.(?:unlink|rmdir)\s*\(/.test(code)
  emitFact(call, { effect: effect ?? (acts ? 'inline-code' : null), args: [] })
}

function writeTo(path: string, mode: string, call: Call): void {
  if (/^(?:\/|~|[A-Z]:)/.test(path) && mode !== path)
    reportPaths(call, mode.startsWith('a') ? 'append' : 'overwrite', [path])
}

// `system("rm -rf /")` is a text for the shell; `subprocess.run(["rm", "-rf", "/"])` are words.
function start(words: string[], { walk }: Call): void {
  const [first = mark.unknown] = words
  if (words.length > 1 && !/\s/.test(first)) walk.run.call(words, walk)
  else walk.run.text(first, walk)
}

// The string literals after each call, up to its closing bracket or the end of the statement.
function argumentsOf(code: string, calls: RegExp): string[][] {
  const found = [...code.slice(0, 16_384).matchAll(calls)].slice(0, 32)
  return found.map(match => {
    const after = code.slice(match.index + match[0].length, match.index + match[0].length + 400)
    const words = [...after.matchAll(literal)]
    const end = endOf(after)
    const values = words
      .filter(({ index }) => index < end)
      .map(word => decodeEscapes(word.slice(1).find(group => group !== undefined) ?? ''))
    return values.length > 0 ? values : [mark.unknown]
  })
}

function endOf(text: string): number {
  const bare = text.replace(literal, whole => '_'.repeat(whole.length))
  let depth = 0
  for (let at = 0; at < bare.length; at += 1) {
    if ('(['.includes(bare[at] ?? '')) depth += 1
    if (')]'.includes(bare[at] ?? '')) depth -= 1
    if (depth <= 0 && /[);\n]/.test(bare[at] ?? '')) return at
  }
  return bare.length
}
