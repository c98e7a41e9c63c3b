import t from 'tap'
import { diff } from './diff.ts'

t.test('only what differs is a change, tags one by one', async t => {
  const before = { name: 'web-1', port: 22, tags: { env: 'test', rack: '4' } }
  const after = { name: 'web-1', port: 2222, tags: { env: 'prod', owner: 'ada' } }
  t.same(diff(before, after), {
    paths: ['port', 'tags.env', 'tags.owner', 'tags.rack'],
    before: { port: 22, 'tags.env': 'test', 'tags.rack': '4', 'tags.owner': null },
    after: { port: 2222, 'tags.env': 'prod', 'tags.rack': null, 'tags.owner': 'ada' },
  })
})

t.test('all that a first state says is a change', async t => {
  t.same(diff(undefined, { name: 'web-1', hostKey: null }), {
    paths: ['hostKey', 'name'],
    before: {},
    after: { name: 'web-1' },
  })
})

t.test('the order of keys inside a value is none, that of a list is one', async t => {
  const step = { id: 'first', with: { command: 'uptime', shell: 'sh' } }
  const same = { with: { shell: 'sh', command: 'uptime' }, id: 'first' }
  t.same(diff({ steps: [step] }, { steps: [same] }).paths, [])
  const second = { ...step, id: 'second' }
  t.same(diff({ steps: [step, second] }, { steps: [second, step] }).paths, ['steps'])
})
