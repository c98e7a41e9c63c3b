import ssh2 from 'ssh2'
import t from 'tap'
import { newKeyPair } from './key-pair.ts'

t.test('every new key can be read', async t => {
  const unread = Array.from({ length: 1_500 }, newKeyPair).filter(
    pair => ssh2.utils.parseKey(pair.private) instanceof Error,
  )
  t.same(unread, [])
})
