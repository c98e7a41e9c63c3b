/**
 * Values that are costly to make, one for each key, as long as anybody uses it: nothing is kept for those who may come
 * later.
 */
export class Shared<V> {
  readonly #entries = new Map<string, { value: V; users: number }>()
  readonly #dispose: (value: V) => void

  constructor(dispose: (value: V) => void = () => undefined) {
    this.#dispose = dispose
  }

  /** The value in use for the key, else what `make` returns. Each `release` counts once; the last disposes. */
  take(key: string, make: () => V): { value: V; release(): void } {
    const entry = this.#entries.get(key) ?? { value: make(), users: 0 }
    this.#entries.set(key, entry)
    entry.users += 1
    let released = false
    return {
      value: entry.value,
      release: () => {
        if (released) return
        released = true
        entry.users -= 1
        if (entry.users > 0) return
        this.#entries.delete(key)
        this.#dispose(entry.value)
      },
    }
  }
}
