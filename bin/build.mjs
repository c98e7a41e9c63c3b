import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { PlainError } from './plain-error.mjs'

const NOT_SOURCES = new Set(['node_modules', 'build', 'ui'])

/**
 * Compiles the sources when one was changed, added or removed since the last build. `alone(why, work)` runs work that
 * writes to the checkout.
 */
export async function buildIfNeeded(root, say, alone) {
  const output = path.join(root, 'build')
  const stamp = path.join(output, '.stamp')
  const sources = find(root, name => name.endsWith('.ts'))
  const identity = createHash('sha256').update(sources.join('\n')).digest('hex')
  const watched = [...sources, 'tsconfig.json', 'package-lock.json'].map(file => path.join(root, file))
  const isBuilt = () => existsSync(stamp) && upToDate(stamp, identity, watched)
  if (isBuilt()) return
  await alone('the program must be built in it', async () => {
    // Another command may have done it meanwhile.
    if (isBuilt()) return
    say('Building …')
    const started = Date.now()
    removeOrphans(output, new Set(sources))
    await compile(root)
    writeFileSync(stamp, identity)
    say(`Built in ${((Date.now() - started) / 1000).toFixed(1)} s.`)
  })
}

function upToDate(stamp, identity, watched) {
  const builtAt = statSync(stamp).mtimeMs
  return readFileSync(stamp, 'utf8') === identity && watched.every(file => statSync(file).mtimeMs < builtAt)
}

/** Paths below a folder, relative to it, of the files that `wanted` accepts. */
function find(root, wanted, folder = '') {
  const found = []
  for (const entry of readdirSync(path.join(root, folder), { withFileTypes: true })) {
    const relative = path.join(folder, entry.name)
    if (entry.isDirectory() && !entry.name.startsWith('.') && !(folder === '' && NOT_SOURCES.has(entry.name))) {
      found.push(...find(root, wanted, relative))
    } else if (entry.isFile() && wanted(entry.name)) {
      found.push(relative)
    }
  }
  return found.sort()
}

// What was compiled from a source that is gone: a removed spec would still be run, a removed module still be found.
function removeOrphans(output, sources) {
  if (!existsSync(output)) return
  for (const file of find(output, name => name.endsWith('.js'))) {
    if (sources.has(file.replace(/\.js$/, '.ts'))) continue
    for (const suffix of ['', '.map']) rmSync(path.join(output, file + suffix), { force: true })
  }
}

// Without checking types, which takes three times as long as the rest: `npm run check` and `npm test` do that.
function compile(root) {
  const compiler = path.join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const child = spawn(process.execPath, [compiler, '-p', root, '--noCheck'], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', code => {
      if (code === 0) return resolve()
      // What a failed build recorded as done is not to be trusted by the next one.
      rmSync(path.join(root, 'build', '.tsbuildinfo'), { force: true })
      reject(new PlainError('The build failed; see above.'))
    })
  })
}
