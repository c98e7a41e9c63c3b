/** Rewrites the payload of version v into that of v + 1; pure. */
export type Upcaster = (data: Record<string, unknown>) => Record<string, unknown>

/** By event type; index 0 lifts version 1 to version 2. A type without an entry is at version 1. */
const upcasters: Readonly<Record<string, readonly Upcaster[]>> = {}

/** The version new events of this type are written with. */
export function currentVersion(type: string, table = upcasters): number {
  return (table[type]?.length ?? 0) + 1
}

/**
 * Lifts a stored payload to the newest version of its type.
 * @throws RangeError for a version this program is too old to know.
 */
export function upcast(type: string, version: number, data: unknown, table = upcasters): unknown {
  const chain = table[type] ?? []
  if (version > chain.length + 1) throw new RangeError(`${type} version ${version} is newer than this program`)
  return chain.slice(version - 1).reduce((d, lift) => lift(d), data as Record<string, unknown>)
}
