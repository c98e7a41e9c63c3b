import pino from 'pino'
import t from 'tap'
import type { HeldLock } from '../infra/postgres.ts'
import { onlyOne } from './only-one.ts'

const log = pino({ level: 'silent' })

/** A lock whose fate the test decides, and work that says when it begins and ends. */
function scene(patienceMs: number) {
  const stop = new AbortController()
  const happened: string[] = []
  const waiters = new Map<string, () => void>()
  const say = (what: string) => {
    happened.push(what)
    waiters.get(what)?.()
  }
  const asked: Array<{ grant(): AbortController; refuse(): void }> = []
  const lock = (signal: AbortSignal) =>
    new Promise<HeldLock>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(new Error('given up')), { once: true })
      asked.push({
        grant() {
          const lost = new AbortController()
          resolve({ lost: lost.signal, release: async () => say('released') })
          return lost
        },
        refuse: () => reject(new Error('unreachable')),
      })
      say(`asked ${asked.length}`)
    })
  const start = async () => {
    say('begun')
    return { stop: async () => say('ended') }
  }
  const done = onlyOne({ lock, start, log, signal: stop.signal, patienceMs })
  return {
    happened,
    asked,
    stop: () => stop.abort(),
    done,
    until: (what: string) =>
      happened.includes(what) ? Promise.resolve() : new Promise<void>(resolve => waiters.set(what, resolve)),
  }
}

t.test('works while it holds the lock and gives it back at the end', async t => {
  const { asked, until, happened, stop, done } = scene(10_000)
  asked[0]?.grant()
  await until('begun')
  stop()
  await done
  t.same(happened, ['asked 1', 'begun', 'released', 'ended'])
})

t.test('works without Postgres, asks again, and goes on when it has the lock', async t => {
  const { asked, until, happened, stop, done } = scene(10_000)
  asked[0]?.refuse()
  await until('begun')
  await until('asked 2')
  const lost = asked[1]?.grant()
  await new Promise(resolve => setImmediate(resolve))
  lost?.abort()
  await until('asked 3')
  asked[2]?.grant()
  stop()
  await done
  t.same(
    happened.filter(what => !what.startsWith('asked')),
    ['begun', 'released', 'ended'],
    'one piece of work through all of it',
  )
})

t.test('stands aside when another one has taken the lock meanwhile', async t => {
  const { asked, until, happened, stop, done } = scene(20)
  const lost = asked[0]?.grant()
  await until('begun')
  lost?.abort()
  await until('ended')
  t.same(happened, ['asked 1', 'begun', 'asked 2', 'ended'])
  asked[1]?.grant()
  stop()
  await done
  t.same(happened.slice(4), ['released'], 'a lock that comes when all is over is given back')
})

t.test('ends while it waits', async t => {
  const { happened, stop, done } = scene(10_000)
  stop()
  await done
  t.same(happened, ['asked 1'])
})
