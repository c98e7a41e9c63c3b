/** The only source of time outside the domain; a test injects its own. */
export type Clock = {
  /** Wall clock, UTC, ISO 8601 with milliseconds. */
  now(): string
  /** Milliseconds that never jump, for deadlines and leases. */
  monotonic(): number
}

export const systemClock: Clock = {
  now: () => new Date().toISOString(),
  monotonic: () => performance.now(),
}
