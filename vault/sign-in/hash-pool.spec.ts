import { readdirSync, readFileSync } from 'node:fs'
import { getPriority } from 'node:os'
import t from 'tap'
import { createHashPool, HashPoolBusy } from './hash-pool.ts'
import { createHasher } from './hasher.ts'

const passphrase = 'four rusty lanterns under water'

t.test('abuse 19: only so many are worked on, only so many wait', async t => {
  const hasher = createHasher()
  t.teardown(hasher.stop)
  const pool = createHashPool(hasher, { atOnce: 2, mayWait: 3 })
  let begun = 0
  const asked = Array.from({ length: 20 }, () =>
    pool.admit(async ({ hash }) => {
      begun += 1
      return await hash(passphrase)
    }),
  )
  const ended = await Promise.allSettled(asked)
  const busy = ended.filter(e => e.status === 'rejected' && e.reason instanceof HashPoolBusy)
  t.equal(busy.length, 15)
  t.equal(begun, 5, 'the others have cost nothing')
  await pool.admit(async ({ hash, verify }) => {
    const hashed = await hash('caf\u00e9 and lanterns by the sea')
    t.match(hashed, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
    t.equal(await verify(hashed, 'cafe\u0301 and lanterns by the sea'), true, 'however it is composed')
    t.equal(await verify(hashed, 'cafe and lanterns by the sea'), false)
    const long = 'x'.repeat(72)
    t.equal(await verify(await hash(`${long}a`), `${long}b`), false, 'abuse 20: nothing is cut off at 72')
  })
})

t.test('whose turn comes too late is turned away like who comes too much', async t => {
  let free = () => {}
  const first = new Promise<string>(resolve => {
    free = () => resolve('hashed')
  })
  let asked = 0
  const hash = () => {
    asked += 1
    return first
  }
  const pool = createHashPool({ hash, verify: async () => true }, { atOnce: 1, mayWait: 1, mostWaitMs: 5 })
  const [one, two] = [pool.admit(({ hash }) => hash('a')), pool.admit(({ hash }) => hash('b'))]
  await t.rejects(two, HashPoolBusy, 'while the first still goes on')
  free()
  t.equal(await one, 'hashed')
  t.equal(asked, 1)
  t.equal(await pool.admit(async () => 'room again'), 'room again')
})

t.test('between two that wait for each other there is time for everything else', async t => {
  const times: number[] = []
  const hash = async () => {
    times.push(performance.now())
    await new Promise(resolve => setTimeout(resolve, 10))
    times.push(performance.now())
    return 'hashed'
  }
  const pool = createHashPool({ hash, verify: async () => true }, { rest: 3 })
  await Promise.all([pool.admit(({ hash }) => hash('a')), pool.admit(({ hash }) => hash('b'))])
  const [, ended = 0, next = 0] = times
  t.ok(next - ended >= 25, `${next - ended} ms after one of 10`)
  const began = performance.now()
  await pool.admit(({ hash }) => hash('c'))
  t.ok((times[4] ?? 0) - began < next - ended, 'who comes alone does not wait')
})

t.test('hashes are made by a process that gives way to everything else', async t => {
  const hasher = createHasher()
  t.teardown(hasher.stop)
  const hashed = await hasher.hash(passphrase)
  const [pid = 0] = childrenNamed('hash-process')
  t.equal(getPriority(pid), Math.max(5, getPriority()))
  t.equal(readFileSync(`/proc/${pid}/environ`, 'utf8').includes('OPSCONDUCTOR_'), false)
  await t.rejects(hasher.verify('no hash', passphrase), /Decoding/)
  t.equal(await hasher.verify(hashed, passphrase), true, 'and goes on after a mistake')

  const lost = hasher.hash(passphrase)
  process.kill(pid, 'SIGKILL')
  await t.rejects(lost, /has ended/)
  t.equal(await hasher.verify(hashed, passphrase), true, 'started again by the next question')
  await hasher.stop()
  t.same(childrenNamed('hash-process'), [])
})

/** Children of this process, by a part of their command line. */
function childrenNamed(part: string): number[] {
  const pids = readdirSync('/proc').filter(name => /^\d+$/.test(name))
  return pids.map(Number).filter(pid => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
      return parent === process.pid && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(part)
    } catch {
      return false
    }
  })
}
