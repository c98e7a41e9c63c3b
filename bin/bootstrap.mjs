// The first thing that runs after a clone, so it needs nothing installed and its syntax suits any Node since 14:
// only then can it say in plain words that the Node at hand is too old.
import process from 'node:process'

const OLDEST = [20, 19]
const [major, minor] = process.versions.node.split('.').map(Number)

if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) {
  console.error(`OpsConductor needs Node ${OLDEST.join('.')} or newer; this is Node ${process.versions.node}.`)
  console.error('Install a current Node from https://nodejs.org (or run "nvm install" here), then try again.')
  process.exit(1)
}

import('./prepare.mjs')
  .then(prepare => prepare.run(process.argv.slice(2)))
  .catch(error => {
    console.error(error.plain ? `\n${error.message}` : error)
    process.exit(1)
  })
