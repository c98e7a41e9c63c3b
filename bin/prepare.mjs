import { accessSync, constants, existsSync, lstatSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { buildIfNeeded } from './build.mjs'
import { installIfNeeded } from './install.mjs'
import { withLock } from './lock.mjs'
import { PlainError } from './plain-error.mjs'

const root = path.dirname(import.meta.dirname)

// Commands of this checkout rather than of the product; everything else goes to the product's own entry.
const CHECKOUT_COMMANDS = {
  test: 'test/run.js',
  check: 'test/check.js',
  bench: 'bench/main.js',
  'test-crash': 'test/crash/main.js',
  simulate: 'test/simulation/main.js',
  docs: 'docs/generate.js',
}

/** Installs and builds what is missing or out of date, then hands over to the command. */
export async function run([command = 'up', ...rest]) {
  const managed = isLink(path.join(root, 'node_modules'))
  if (!managed) await installIfNeeded(root, say, alone)
  await buildIfNeeded(root, say, alone)
  const checkoutCommand = CHECKOUT_COMMANDS[command]
  const entry = path.join(root, 'build', checkoutCommand ?? 'opsconductor.js')
  if (!existsSync(entry)) throw new PlainError(`"${command}" is not part of this version.`)
  const { main } = await import(entry)
  await main(checkoutCommand ? rest : [command, ...rest])
}

function say(line) {
  process.stderr.write(`${line}\n`)
}

function isLink(file) {
  return lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink() === true
}

// Two first commands in one fresh clone, say the program and its tests, must not install over each other.
async function alone(why, work) {
  requireWritable(why)
  await withLock(path.join(root, '.preparing'), say, work)
}

function requireWritable(why) {
  try {
    accessSync(root, constants.W_OK)
  } catch {
    const advice = 'Clone it to a folder of your own, or make this one writable'
    throw new PlainError(`The folder ${root} cannot be written to, and ${why}.\n${advice}, then try again.`)
  }
}
