/** How many denials become events: an executor that asks wrongly in a loop must not fill the log. */
export type DenialLimit = {
  /** True when this denial may be recorded; otherwise it is only counted. */
  admit(executorId: string): boolean
  /** Denials counted but not recorded since the last call. */
  takeSuppressed(): number
}

type Bucket = { tokens: number; at: number }
type Rate = { burst: number; perSecond: number }

const PER_EXECUTOR: Rate = { burst: 20, perSecond: 1 }
/** Over all: an unproven name is easily changed. */
const OVERALL: Rate = { burst: 100, perSecond: 10 }
const MAX_EXECUTORS = 1_000

/** Token buckets; `monotonic` in milliseconds. */
export function denialLimit(monotonic: () => number): DenialLimit {
  const executors = new Map<string, Bucket>()
  const overall: Bucket = { tokens: OVERALL.burst, at: monotonic() }
  let suppressed = 0

  const bucketOf = (executorId: string): Bucket => {
    const bucket = executors.get(executorId) ?? { tokens: PER_EXECUTOR.burst, at: monotonic() }
    executors.delete(executorId)
    executors.set(executorId, bucket)
    const [oldest] = executors.keys()
    if (executors.size > MAX_EXECUTORS && oldest !== undefined) executors.delete(oldest)
    return bucket
  }

  return {
    admit(executorId) {
      const own = bucketOf(executorId)
      refill(own, PER_EXECUTOR, monotonic())
      refill(overall, OVERALL, monotonic())
      if (own.tokens < 1 || overall.tokens < 1) {
        suppressed += 1
        return false
      }
      own.tokens -= 1
      overall.tokens -= 1
      return true
    },
    takeSuppressed() {
      const count = suppressed
      suppressed = 0
      return count
    },
  }
}

function refill(bucket: Bucket, { burst, perSecond }: Rate, now: number): void {
  bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.at) / 1000) * perSecond)
  bucket.at = now
}
