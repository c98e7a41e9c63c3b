import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { until } from './process.ts'
import { ProxyLine } from './proxy.ts'

/** A server that keeps what it hears and answers every piece with its own words. */
async function ends(t: Test) {
  const peers: Socket[] = []
  const heard: string[] = []
  const server = createServer(peer => {
    peers.push(peer.on('error', () => {}).on('data', bytes => heard.push(`${bytes}`)))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const line = await ProxyLine.start(t, { to: () => ({ host: '127.0.0.1', port: address.port }) })
  const open = async () => {
    const client = connect(line.port, '127.0.0.1').on('error', () => {})
    t.teardown(() => client.destroy())
    const said: string[] = []
    client.on('data', bytes => said.push(`${bytes}`))
    await once(client, 'connect')
    return { client, said: () => said.join('') }
  }
  return { line, open, heard: () => heard.join(''), peers }
}

t.test('holds each direction apart, and lets pass in order what was held', async t => {
  const { line, open, heard, peers } = await ends(t)
  const { client, said } = await open()
  client.write('one ')
  await until('the first word is there', () => heard() === 'one ')
  line.rule('there', 'hold')
  client.write('two ')
  await until('the second word is held', () => line.held('there') === 'two ')
  peers[0]?.write('answer')
  await until('answers pass meanwhile', () => said() === 'answer')
  t.equal(heard(), 'one ')
  client.write('three ')
  await until('the third word is held too', () => line.held('there') === 'two three ')
  line.rule('there', 50)
  client.write('four ')
  line.rule('there', 'pass')
  client.write('five')
  await until('all of it is there', () => heard().endsWith('five'))
  t.equal(heard(), 'one two three four five', 'late words are not overtaken')
})

t.test('drops what is said, and keeps the connection', async t => {
  const { line, open, heard } = await ends(t)
  const { client } = await open()
  const passing: string[] = []
  const deaf = line.watch((direction, bytes) => passing.push(`${direction} ${bytes}`))
  line.rule('there', 'drop')
  client.write('lost ')
  await until('it was on the line', () => passing.length === 1)
  t.same(passing, ['there lost '])
  deaf()
  line.rule('there', 'pass')
  client.write('kept')
  await until('what follows is there', () => heard() === 'kept')
  t.equal(passing.length, 1)
})

t.test('holds from a text on, and loses what is held when it is cut', async t => {
  const { line, open, heard } = await ends(t)
  const { client } = await open()
  const reached = line.holdFrom('there', 'commit')
  client.write('begin; insert; commit; begin')
  await reached
  await until('what was before is there', () => heard() === 'begin; insert; ')
  t.equal(line.held('there'), 'commit; begin')
  line.cut()
  await once(client, 'close')
  line.rule('there', 'pass')
  const again = await open()
  again.client.write('rollback')
  await until('a new connection passes', () => heard() === 'begin; insert; rollback')
  line.refuse(true)
  const refused = await open()
  await once(refused.client, 'close')
})
