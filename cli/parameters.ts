import { nearest } from '../schemas/nearest.ts'
import type { ParameterSpec, ParameterSpecs, ParameterValues } from '../schemas/parameters.ts'
import type { Client } from './client.ts'
import { idOf } from './context.ts'
import { UsageError } from './errors.ts'
import { readObject } from './values.ts'

type Value = ParameterValues[string]

/** `--param-file` first, `--param name=value` over it, each value read as the job says it is. */
export async function parametersFrom(
  client: Client,
  jobId: string,
  options: { param?: string[]; paramFile?: string; version?: number },
): Promise<ParameterValues | undefined> {
  const { param = [], paramFile, version } = options
  if (param.length === 0) return paramFile === undefined ? undefined : (readObject(paramFile) as ParameterValues)
  const values = paramFile === undefined ? {} : (readObject(paramFile) as ParameterValues)
  const specs = await specsOf(client, jobId, version)
  for (const pair of param) {
    const [name, text] = cut(pair)
    values[name] = await readAs(client, name, specOf(specs, name), text)
  }
  return values
}

async function specsOf(client: Client, jobId: string, version: number | undefined): Promise<ParameterSpecs> {
  const of = version === undefined ? '' : `/versions/${version}`
  const { parameters } = await client.get<{ parameters: ParameterSpecs | null }>(`/v1/jobs/${jobId}${of}`)
  return parameters ?? {}
}

function cut(pair: string): [name: string, text: string] {
  const at = pair.indexOf('=')
  if (at < 1) throw new UsageError(`--param takes name=value, not ${pair}`)
  return [pair.slice(0, at), pair.slice(at + 1)]
}

function specOf(specs: ParameterSpecs, name: string): ParameterSpec {
  const spec = Object.hasOwn(specs, name) ? specs[name] : undefined
  if (spec) return spec
  const names = Object.keys(specs)
  const near = nearest(name, names)
  const known = names.length > 0 ? `it has ${names.join(', ')}` : 'it has none'
  throw new UsageError(`the job has no parameter ${name}; ${near ? `did you mean ${near}?` : known}`)
}

async function readAs(client: Client, name: string, spec: ParameterSpec, text: string): Promise<Value> {
  switch (spec.type) {
    case 'string':
    case 'enum':
    case 'file':
      return text
    case 'integer':
    case 'number':
    case 'boolean':
      return plainOf(name, spec.type, text)
    case 'list':
      return listOf(name, spec.of, text)
    case 'target':
      return await idOf(client, 'targets', text)
    case 'secret':
    case 'credential':
      return await idOf(client, 'credentials', text)
  }
}

type Plain = 'string' | 'integer' | 'number' | 'boolean'

function plainOf(name: string, type: Plain, text: string): string | number | boolean {
  switch (type) {
    case 'string':
      return text
    case 'boolean':
      if (text === 'true' || text === 'false') return text === 'true'
      throw new UsageError(`the parameter ${name} is true or false, not ${text}`)
    case 'integer':
    case 'number': {
      const number = Number(text)
      const fits = text.trim() !== '' && (type === 'integer' ? Number.isSafeInteger(number) : Number.isFinite(number))
      if (fits) return number
      throw new UsageError(
        `the parameter ${name} is ${type === 'integer' ? 'a whole number' : 'a number'}, not ${text}`,
      )
    }
  }
}

/** `a,b,c`, or JSON where an element holds a comma. */
function listOf(name: string, of: Plain, text: string): Value {
  if (!text.startsWith('[')) return text === '' ? [] : text.split(',').map(each => plainOf(name, of, each))
  try {
    return JSON.parse(text) as Value
  } catch {
    throw new UsageError(`the parameter ${name} is a list, such as a,b or ["a","b"]; ${text} is not valid JSON`)
  }
}
