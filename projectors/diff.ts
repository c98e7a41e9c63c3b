import { isDeepStrictEqual } from 'node:util'

export type State = Readonly<Record<string, unknown>>
export type Changes = { paths: string[]; before: Record<string, unknown>; after: Record<string, unknown> }

/**
 * What differs between two states, by field; tags one by one as `tags.<key>`. A field that is not there is null.
 * Everything a first state says counts as changed, so that each field has an origin. The order of the keys inside a
 * value means nothing: a state that was read from the database may have another one.
 */
export function diff(before: State | undefined, after: State): Changes {
  const old = flatten(before ?? {})
  const now = flatten(after)
  const changes: Changes = { paths: [], before: {}, after: {} }
  for (const path of new Set([...Object.keys(old), ...Object.keys(now)])) {
    const was = old[path] ?? null
    const is = now[path] ?? null
    if (before && (was === is || isDeepStrictEqual(was, is))) continue
    changes.paths.push(path)
    if (is === null && was === null) continue
    if (before) changes.before[path] = was
    changes.after[path] = is
  }
  if (changes.paths.length > 1) changes.paths.sort()
  return changes
}

function flatten(state: State): State {
  if (!('tags' in state)) return state
  const { tags, ...rest } = state
  const flat: Record<string, unknown> = rest
  for (const [key, value] of Object.entries((tags ?? {}) as State)) flat[`tags.${key}`] = value
  return flat
}
