/** Options and words of a command line, told apart as getopt does. */
export type Parsed = {
  /** `-r`, `-f`, `--force`, `-delete`: bundles taken apart, values cut off. */
  flags: Set<string>
  /** What is neither an option nor the value of one. */
  words: string[]
  /** Values of options that take one. */
  values: Map<string, string[]>
}

export type Syntax = {
  /** Short options that take a value: `-u root`, `-uroot`. */
  short?: string
  /** Long options that take a value as a word of its own, with their dashes. */
  long?: readonly string[]
  /** Stop at the first word: what follows belongs to another command. */
  leading?: boolean
}

/** `rest` is where the first word stands when `leading` is set. */
export function parseOptions(args: readonly string[], syntax: Syntax = {}): Parsed & { rest: string[] } {
  const parsed: Parsed & { rest: string[] } = { flags: new Set(), words: [], values: new Map(), rest: [] }
  for (let at = 0; at < args.length; at += 1) {
    const arg = args[at] ?? ''
    if (arg === '--') {
      parsed.words.push(...args.slice(at + 1))
      if (syntax.leading) parsed.rest = args.slice(at + 1)
      break
    }
    if (arg.startsWith('-') && arg !== '-') at += option(arg, args[at + 1], syntax, parsed)
    else if (syntax.leading) {
      parsed.rest = args.slice(at)
      break
    } else parsed.words.push(arg)
  }
  return parsed
}

// Answers how many further arguments the option took.
function option(arg: string, next: string | undefined, { short = '', long = [] }: Syntax, parsed: Parsed): number {
  const equals = arg.indexOf('=')
  const name = equals > 0 ? arg.slice(0, equals) : arg
  if (long.includes(name)) {
    remember(parsed, name, equals > 0 ? arg.slice(equals + 1) : (next ?? ''))
    return equals > 0 ? 0 : 1
  }
  parsed.flags.add(name)
  if (equals > 0) remember(parsed, name, arg.slice(equals + 1))
  return arg.startsWith('--') ? 0 : bundle(arg, next, short, parsed)
}

function bundle(arg: string, next: string | undefined, short: string, parsed: Parsed): number {
  for (let at = 1; at < arg.length; at += 1) {
    const letter = arg[at] ?? ''
    parsed.flags.add(`-${letter}`)
    if (!short.includes(letter)) continue
    const attached = arg.slice(at + 1)
    remember(parsed, `-${letter}`, attached || (next ?? ''))
    return attached ? 0 : 1
  }
  return 0
}

function remember({ flags, values }: Parsed, name: string, value: string): void {
  flags.add(name)
  values.set(name, [...(values.get(name) ?? []), value])
}

/** Whether an option is there; a long one may be cut short as getopt allows (`--recur`). */
export function has(flags: ReadonlySet<string>, ...names: string[]): boolean {
  return names.some(
    name =>
      flags.has(name) ||
      (name.startsWith('--') &&
        [...flags].some(flag => flag.length > 4 && flag.startsWith('--') && name.startsWith(flag))),
  )
}
