import { readFileSync } from 'node:fs'
import t from 'tap'
import { commands, filterCommands } from '../schemas/commands.ts'
import { eventSchemas } from '../schemas/events.ts'
import { pages } from './generate.ts'

const root = new URL('../../', import.meta.url)

t.test('the generated pages are current: npm run docs', async t => {
  for (const [path, text] of Object.entries(pages())) t.equal(readFileSync(new URL(path, root), 'utf8'), text, path)
})

t.test('they show every command and every event', async t => {
  const { 'docs/commands.md': ofCommands = '', 'docs/events.md': ofEvents = '' } = pages()
  for (const name of [...Object.keys(commands), ...Object.keys(filterCommands)])
    t.ok(ofCommands.includes(`### ${name}\n`), name)
  for (const type of Object.keys(eventSchemas)) t.ok(ofEvents.includes(`### ${type}\n`), type)
  t.match(ofCommands, /\| `name` \| string \| yes \| at most 120 characters \|/)
  t.match(ofCommands, /\| `port` \| integer \| {2}\| default `22`; 1 to 65535 \|/)
  t.notMatch(`${ofCommands}${ofEvents}`, /undefined|\[object/)
})
