/** Where an event with a given id was appended. */
export type Seen = { stream: string; revision: number; position: number }

/** The ids of the latest events, oldest forgotten first: what idempotency without an expected revision rests on. */
export class RecentIds {
  readonly #seen = new Map<string, Seen>()
  readonly #limit: number

  constructor(limit: number) {
    this.#limit = limit
  }

  get(id: string): Seen | undefined {
    return this.#seen.get(id)
  }

  remember(id: string, seen: Seen): void {
    this.#seen.set(id, seen)
    if (this.#seen.size <= this.#limit) return
    for (const oldest of this.#seen.keys()) {
      this.#seen.delete(oldest)
      return
    }
  }

  /** Forgets every event at or after a position that was never made durable. */
  forgetFrom(position: number): void {
    for (const [id, seen] of this.#seen) if (seen.position >= position) this.#seen.delete(id)
  }
}
