export type HandlerQueue<T> = {
  /** False when the queue is full or closed and the item was not taken. */
  push(item: T): boolean
  /** Forgets what waits; running handlers go on. */
  clear(): void
  /** Resolves when nothing waits or runs. */
  idle(): Promise<void>
}

/**
 * Runs a handler over items in the order of arrival, at most `concurrency` at a time and at most `maxWaiting` waiting.
 * An error of the handler goes to `onError` and stops nothing.
 */
export function handlerQueue<T>(options: {
  handler: (item: T) => void | Promise<void>
  onError: (error: unknown) => void
  concurrency: number
  maxWaiting: number
}): HandlerQueue<T> {
  const waiting: T[] = []
  let head = 0
  let running = 0
  let idleListeners: (() => void)[] = []

  const runOne = async (item: T) => {
    try {
      await options.handler(item)
    } catch (error) {
      options.onError(error)
    }
    running -= 1
    next()
  }

  const next = () => {
    while (running < options.concurrency && head < waiting.length) {
      const item = waiting[head] as T // head < length
      head += 1
      if (head === waiting.length || head > 1024) {
        waiting.splice(0, head)
        head = 0
      }
      running += 1
      void runOne(item)
    }
    if (running > 0) return
    const listeners = idleListeners
    idleListeners = []
    for (const listener of listeners) listener()
  }

  return {
    push(item) {
      if (waiting.length - head >= options.maxWaiting) return false
      waiting.push(item)
      next()
      return true
    },
    clear() {
      waiting.length = 0
      head = 0
    },
    idle() {
      return running === 0 ? Promise.resolve() : new Promise(resolve => idleListeners.push(resolve))
    },
  }
}
