/** What is left to one of those who share a limit: `left` whole tokens, and seconds until there are more. */
export type Allowance = { taken: boolean; left: number; seconds: number }

type Bucket = { tokens: number; at: number }
const MOST = 50_000

/**
 * A limit for each of many: `perSecond` tokens come back each second, up to `capacity`. Those who have not been seen for
 * longest are forgotten when there are more than 50,000, so that memory is bounded whoever comes.
 */
export class TokenBuckets {
  readonly #perSecond: number
  readonly #capacity: number
  readonly #buckets = new Map<string, Bucket>()

  constructor(limit: { perSecond: number; capacity: number }) {
    this.#perSecond = limit.perSecond
    this.#capacity = limit.capacity
  }

  get size(): number {
    return this.#buckets.size
  }

  /** Takes one token. `now` in milliseconds that never jump. */
  take(who: string, now: number): Allowance {
    const bucket = this.#of(who, now)
    bucket.tokens = Math.min(this.#capacity, bucket.tokens + ((now - bucket.at) / 1000) * this.#perSecond)
    bucket.at = now
    const taken = bucket.tokens >= 1
    if (taken) bucket.tokens -= 1
    const left = Math.floor(bucket.tokens)
    const missing = left === 0 ? 1 - bucket.tokens : this.#capacity - bucket.tokens
    return { taken, left, seconds: Math.max(1, Math.ceil(missing / this.#perSecond)) }
  }

  #of(who: string, now: number): Bucket {
    const known = this.#buckets.get(who)
    if (known) return known
    if (this.#buckets.size >= MOST) this.#forget(now)
    const fresh = { tokens: this.#capacity, at: now }
    this.#buckets.set(who, fresh)
    return fresh
  }

  /** First who has a full bucket by now, which is as good as none; then the tenth that came first. */
  #forget(now: number): void {
    const fullAfterMs = (this.#capacity / this.#perSecond) * 1000
    for (const [who, { at }] of this.#buckets) if (now - at >= fullAfterMs) this.#buckets.delete(who)
    const surplus = this.#buckets.size - MOST * 0.9
    if (surplus > 0) for (const who of [...this.#buckets.keys()].slice(0, surplus)) this.#buckets.delete(who)
  }
}
