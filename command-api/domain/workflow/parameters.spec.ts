import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import t from 'tap'
import { type ParameterSpecs, type ParameterValues, parameterSpecs } from '../../../schemas/parameters.ts'
import { parametersJsonSchema } from '../../../schemas/parameters-schema.ts'
import { DomainError } from '../decider.ts'
import { bindParameters } from './parameters.ts'

const id = '0192d3c4-5e6f-7a8b-9c0d-000000000001'
const specs: ParameterSpecs = parameterSpecs.parse({
  version: {
    type: 'string',
    label: 'Version',
    help: 'Such as 1.2.3',
    required: true,
    pattern: '\\d+(\\.\\d+)*',
    minLength: 1,
    maxLength: 10,
  },
  count: { type: 'integer', default: 2, minimum: 1, maximum: 5 },
  ratio: { type: 'number', minimum: 0, maximum: 1 },
  quiet: { type: 'boolean', default: false },
  colour: { type: 'enum', values: ['blue', 'green'], default: 'green' },
  hosts: { type: 'list', of: 'string', minItems: 1, maxItems: 3 },
  ports: { type: 'list', of: 'integer' },
  token: { type: 'secret' },
  login: { type: 'credential' },
  standby: { type: 'target' },
  package: { type: 'file' },
})
const problemsOf = (given: ParameterValues): string[] => {
  try {
    bindParameters(specs, given)
    return []
  } catch (error) {
    if (!(error instanceof DomainError)) throw error
    t.equal(error.code, 'invalid-parameters')
    return (error.errors ?? []).map(({ path, message }) => `${path.replace('parameters.', '')}: ${message}`)
  }
}

t.test('what is given, and defaults for the rest', async t => {
  t.same(bindParameters(specs, { version: '1.2' }), { version: '1.2', count: 2, quiet: false, colour: 'green' })
  const all = {
    ...{ version: '1', count: 5, ratio: 0.25, quiet: true, colour: 'blue', hosts: ['a', 'b'], ports: [22] },
    ...{ token: id, login: id, standby: id, package: 'a'.repeat(64) },
  }
  t.same(bindParameters(specs, all), all)
  t.same(bindParameters(undefined, undefined), {})
})

const table: Array<[ParameterValues, string]> = [
  [{}, 'version: is required'],
  [{ version: '' }, 'version: must have at least 1 characters'],
  [{ version: '1'.repeat(11) }, 'version: must have at most 10 characters'],
  [{ version: '1.x' }, 'version: must match \\d+(\\.\\d+)*'],
  [{ version: 'v1.2' }, 'version: must match \\d+(\\.\\d+)*'],
  [{ version: 1 }, 'version: must be text'],
  [{ count: 1.5 }, 'count: must be a whole number'],
  [{ count: '1' }, 'count: must be a whole number'],
  [{ count: 0 }, 'count: must be at least 1'],
  [{ count: 6 }, 'count: must be at most 5'],
  [{ ratio: 1.5 }, 'ratio: must be at most 1'],
  [{ ratio: 'x' }, 'ratio: must be a number'],
  [{ quiet: 'yes' }, 'quiet: must be true or false'],
  [{ colour: 'gren' }, 'colour: must be one of blue, green; did you mean green?'],
  [{ colour: 1 }, 'colour: must be one of blue, green'],
  [{ hosts: 'a' }, 'hosts: must be a list'],
  [{ hosts: [] }, 'hosts: must have at least 1 items'],
  [{ hosts: ['a', 'b', 'c', 'd'] }, 'hosts: must have at most 3 items'],
  [{ hosts: ['a', 1] }, 'hosts: item 1 must be of type string'],
  [{ ports: [22, 1.5] }, 'ports: item 1 must be of type integer'],
  [{ token: 'hunter2' }, 'token: must be the id of a credential'],
  [{ login: 'ann' }, 'login: must be the id of a credential'],
  [{ standby: 'web-1' }, 'standby: must be the id of a target'],
  [{ package: 'x.tar' }, 'package: must be the SHA-256 of an artifact'],
  [{ verison: '1' }, 'verison: the job has no such parameter; did you mean version?'],
  [{ zzzzzzzzzz: '1' }, 'zzzzzzzzzz: the job has no such parameter'],
]
t.test('what does not fit is named', async t => {
  for (const [given, message] of table)
    t.same(problemsOf({ ...('version' in given || message.startsWith('version') ? {} : { version: '1' }), ...given }), [
      message,
    ])
  const given = { count: 9, colour: 'red', verison: '1' }
  t.equal(problemsOf(given).length, 4, 'all at once')
  t.same(problemsOf({ version: 'a\0' }), ['version: must not have a NUL character in it'])
})

t.test('the JSON Schema says the same as what is checked', async t => {
  const schema = parametersJsonSchema(specs)
  t.match(schema, {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    required: ['version'],
    additionalProperties: false,
    properties: {
      version: { title: 'Version', description: 'Such as 1.2.3', pattern: '^(?:\\d+(\\.\\d+)*)$', maxLength: 10 },
      count: { type: 'integer', default: 2, minimum: 1, maximum: 5 },
      colour: { enum: ['blue', 'green'], default: 'green' },
      hosts: { type: 'array', items: { type: 'string' }, minItems: 1 },
      token: { format: 'uuid', 'x-opsconductor-type': 'secret' },
      standby: { 'x-opsconductor-type': 'target' },
      login: { 'x-opsconductor-type': 'credential' },
      package: { 'x-opsconductor-type': 'file' },
    },
  })
  const ajv = new Ajv2020({ strict: false, formats: { uuid: /^[0-9a-f-]{36}$/ } })
  const valid = ajv.compile(schema)
  for (const [given] of table) t.equal(valid(given), false, JSON.stringify(given))
  const value = fc.oneof(
    fc.constantFrom('1', '1.2', 'x', '', 'blue', id, 'a'.repeat(64)),
    fc.integer({ min: -1, max: 7 }),
    fc.double({ min: -1, max: 2, noNaN: true }),
    fc.boolean(),
    fc.array(fc.constantFrom('a', 1, 1.5), { maxLength: 4 }),
  )
  const given = fc.dictionary(fc.constantFrom(...Object.keys(specs)), value).map(some => ({ version: '1', ...some }))
  fc.assert(
    fc.property(given, values => t.equal(problemsOf(values).length === 0, valid(values), JSON.stringify(values))),
    { numRuns: 300, seed: 7 },
  )
  t.same(parametersJsonSchema(undefined).properties, {})
})
