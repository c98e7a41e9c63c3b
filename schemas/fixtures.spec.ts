import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { z } from 'zod'
import { eventSchemas } from './events.ts'
import { currentVersion, upcast } from './upcasters.ts'

/** The sources lie beside the build folder that the specs run in. */
const folder = new URL('../../schemas/fixtures/', import.meta.url)
const fixture = z.strictObject({ type: z.string(), version: z.int().min(1), data: z.record(z.string(), z.unknown()) })
const files = readdirSync(folder).sort()
const read = (file: string) => fixture.parse(JSON.parse(readFileSync(new URL(file, folder), 'utf8')))

t.test('every event type has a fixture of each version it ever had, and nothing else has one', async t => {
  const wanted = Object.keys(eventSchemas).flatMap(type =>
    Array.from({ length: currentVersion(type) }, (_, i) => `${type}.v${i + 1}.json`),
  )
  t.same(files, wanted.sort())
})

t.test('a fixture is what its name says, and is read as an event of today', async t => {
  for (const file of files) {
    const { type, version, data } = read(file)
    t.equal(file, `${type}.v${version}.json`)
    const today = upcast(type, version, data)
    t.same(eventSchemas[type]?.parse(today), today, `${file}: nothing is dropped, filled in or refused`)
  }
})

t.test('a fixture of the newest version shows every field', async t => {
  for (const file of files) {
    const { type, version, data } = read(file)
    const schema = eventSchemas[type]
    if (version < currentVersion(type) || !(schema instanceof z.ZodObject)) continue
    const fields = Object.keys(schema.shape)
    const shown = Object.keys(data)
    const left = fields.filter(field => !shown.includes(field))
    t.same(left, oneOf[type] ?? [], `${file} leaves out`)
  }
})

/** Fields that exclude others which the fixture shows. */
const oneOf: Readonly<Record<string, string[]>> = { StepAttemptFailed: ['signal'], StepFailed: ['signal'] }
