import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { gatherWrites } from './gather-writes.ts'

t.test('what is written in one turn leaves together, all of it and in order', async t => {
  const server = createServer().listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const socket = gatherWrites(connect((server.address() as AddressInfo).port, '127.0.0.1'))
  const [[peer]] = (await Promise.all([once(server, 'connection'), once(socket, 'connect')])) as [[Socket], unknown]
  const received = text(peer)

  let called = 0
  for (const piece of ['a', 'b', 'c']) socket.write(piece, () => (called += 1))
  t.equal(socket.writableCorked, 1, 'nothing has left yet')
  await new Promise(process.nextTick)
  t.equal(socket.writableCorked, 0)
  socket.write(Buffer.from('d'))
  socket.write('65', 'hex')
  socket.end('f')
  t.equal(await received, 'abcdef')
  t.equal(called, 3)
})

t.test('one that is destroyed meanwhile is left alone', async t => {
  const server = createServer(peer => peer.resume()).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const socket = gatherWrites(connect((server.address() as AddressInfo).port, '127.0.0.1'))
  await once(socket, 'connect')
  socket.write('a')
  socket.destroy()
  await once(socket, 'close')
  t.ok(socket.destroyed)
})
