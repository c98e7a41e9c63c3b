import t from 'tap'
import { nearest } from './nearest.ts'

t.test('a slip of the finger is understood', async t => {
  const known = ['create-target', 'rename-target', 'cancel-run']
  t.equal(nearest('creat-target', known), 'create-target')
  t.equal(nearest('cancle-run', known), 'cancel-run')
  t.equal(nearest('reboot', known), undefined)
  t.equal(nearest('x'.repeat(65), ['x'.repeat(65)]), undefined)
  t.equal(nearest('a', []), undefined)
})
