import { readFileSync } from 'node:fs'
import t from 'tap'
import { PROGRAM_VERSION } from './version.ts'

t.test('the program is called what its package is called', async t => {
  t.equal(JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version, PROGRAM_VERSION)
})
