import { simulate } from './simulate.ts'

/** `node first-broken.js <seeds>`: ends with 1, saying what, at the first seed in which a promise is broken. */
const seeds = Number(process.argv[2])
for (let seed = 1; seed <= seeds; seed += 1) {
  console.log(`seed ${seed} never came to its end`)
  const { broken } = await simulate(seed)
  if (broken.length === 0) continue
  console.log(`seed ${seed}: ${broken[0]}`)
  process.exit(1)
}
process.exit(0)
