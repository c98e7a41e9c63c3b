import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { PlainError } from './plain-error.mjs'

const NETWORK_TROUBLE =
  /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET_TIMEOUT|network/
const PROGRESS_EVERY_MS = 3_000

/**
 * Runs the lock-file install unless node_modules already holds exactly what the lock file asks for. `alone(why, work)`
 * runs work that writes to the checkout.
 */
export async function installIfNeeded(root, say, alone) {
  const wanted = lockedPackages(path.join(root, 'package-lock.json'))
  if (installed(root, wanted)) return
  await alone('the packages it needs must be installed in it', async () => {
    // Another command may have done it meanwhile.
    if (!installed(root, wanted)) await install(root, wanted, say)
  })
}

async function install(root, wanted, say) {
  const required = Object.keys(wanted).filter(folder => !wanted[folder].optional)
  say(`Installing ${required.length} packages (once; needs the network) …`)
  const started = Date.now()
  const progress = setInterval(() => {
    const there = required.filter(folder => existsSync(path.join(root, folder, 'package.json')))
    say(`  ${there.length} of ${required.length} packages, ${seconds(started)} s`)
  }, PROGRESS_EVERY_MS)
  try {
    await npmInstall(root)
  } finally {
    clearInterval(progress)
  }
  say(`Installed in ${seconds(started)} s.`)
}

function seconds(since) {
  return Math.round((Date.now() - since) / 1000)
}

/** The lock file's packages by folder. */
function lockedPackages(file) {
  const { '': _itself, ...packages } = JSON.parse(readFileSync(file, 'utf8')).packages
  return packages
}

// npm writes this record last: absent after an interrupted install, outdated after a pull. Optional packages are those
// for other platforms.
function installed(root, wanted) {
  const record = path.join(root, 'node_modules', '.package-lock.json')
  if (!existsSync(record)) return false
  const { packages } = JSON.parse(readFileSync(record, 'utf8'))
  return Object.entries(wanted).every(
    ([folder, { version, optional }]) => packages[folder]?.version === version || (optional && !packages[folder]),
  )
}

function npmInstall(root) {
  const npm = process.env.npm_execpath
  const command = npm ? [process.execPath, npm] : ['npm']
  const flags = ['--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error']
  const patience = ['--fetch-retries=2', '--fetch-retry-mintimeout=1000', '--fetch-retry-maxtimeout=5000']
  const child = spawn(command[0], [...command.slice(1), 'ci', ...flags, ...patience], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', text => {
    said += text
  })
  return new Promise((resolve, reject) => {
    child.once('error', cause => reject(new PlainError(`npm could not be started (${cause.message}).`)))
    child.once('close', code => (code === 0 ? resolve() : reject(new PlainError(explain(said)))))
  })
}

function explain(said) {
  const tail = said.trim().split('\n').slice(-12).join('\n')
  if (/ENOSPC/.test(said)) return `The packages could not be installed: the disk is full.\n${tail}`
  if (/EACCES|EPERM|EROFS/.test(said)) {
    return `The packages could not be installed: a file or folder may not be written.\n${tail}`
  }
  if (NETWORK_TROUBLE.test(said)) {
    const advice = 'Check the network (and the proxy, if there is one: npm config get proxy), then try again.'
    return `The packages could not be fetched: the package registry cannot be reached.\n${advice}\n\n${tail}`
  }
  return `The packages could not be installed. npm said:\n${tail}`
}
