import pg from 'pg'
import t from 'tap'
import { freshDatabase, startPostgres } from '../../../test/support/postgres.ts'

t.test('a file has one server and as many databases as it asks for', async t => {
  const first = await freshDatabase(t)
  const second = await freshDatabase(t)
  t.not(first.url, second.url)
  t.equal((await startPostgres(t)).pid, (await startPostgres(t)).pid)
  for (const { url } of [first, second]) {
    const client = new pg.Client(url)
    await client.connect()
    const { rows } = await client.query(
      "select current_setting('server_encoding') as encoding, count(*)::int from pg_tables where schemaname = 'public'",
    )
    t.same(rows, [{ encoding: 'UTF8', count: 0 }])
    await client.end()
  }
})
