import { bounds } from '../bounds.ts'
import { mark } from '../text.ts'
import { windowsVariables } from '../windows/variables.ts'

export type CmdVariables = Map<string, string>

/** `%X%`, `!X!`, `%X:~0,2%`, `%X:a=b%`, `%1`, `%~dp0`, `%%i`; a variable that is set nowhere may be empty. */
export function expandVariables(text: string, variables: CmdVariables): string {
  // `for %1 in …` gives a meaning of its own to what would be a parameter of a script.
  const own = [...text.matchAll(/\bfor\b[^\n]*?%%?(\d)\s+in\b/gi)].map(match => match[1])
  const expanded = text
    .replace(/%%?~[a-z]*([A-Za-z0-9])/g, (_, name: string) => variables.get(`%${name.toLowerCase()}`) ?? mark.present)
    .replace(/%%([A-Za-z])/g, (whole, name: string) => variables.get(`%${name.toLowerCase()}`) ?? whole)
    .replace(/%([^%\n:=]+)(?::([^%\n]*))?%/g, (whole, name: string, change?: string) =>
      value(whole, name, change, variables),
    )
    .replace(/!([\w()]+)(?::([^!\n]*))?!/g, (whole, name: string, change?: string) =>
      value(whole, name, change, variables),
    )
    .replace(/%([A-Za-z])(?![\w%])/g, (whole, name: string) => variables.get(`%${name.toLowerCase()}`) ?? whole)
    .replace(
      /%([0-9*])/g,
      (whole, name: string) => variables.get(`%${name}`) ?? (own.includes(name) ? whole : mark.unknown),
    )
  return expanded.slice(0, bounds.value)
}

function value(whole: string, written: string, change: string | undefined, variables: CmdVariables): string {
  const name = written.toLowerCase()
  // A lone per cent sign before blanks is text, not the beginning of a name.
  if (/^\s|\s$/.test(written)) return whole
  const found = variables.get(name) ?? windowsVariables.get(name)
  if (found === undefined) return mark.unknown
  return change === undefined ? found : changed(found, change)
}

function changed(found: string, change: string): string {
  const slice = /^~(-?\d+)(?:,(-?\d+))?$/.exec(change)
  if (slice) {
    const start = Number(slice[1])
    const from = start < 0 ? Math.max(0, found.length + start) : start
    const length = slice[2] === undefined ? found.length : Number(slice[2])
    return length < 0 ? found.slice(from, length) : found.slice(from, from + length)
  }
  const at = change.indexOf('=')
  return at > 0 ? found.replaceAll(change.slice(0, at), () => change.slice(at + 1)) : mark.unknown
}
