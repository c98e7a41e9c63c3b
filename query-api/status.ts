import { z } from 'zod'
import type { HttpServer } from '../infra/http/index.ts'
import { instant } from '../schemas/kernel.ts'
import type { Reader } from './reader.ts'
import { registerRead } from './route.ts'

const projection = z.object({
  name: z.string(),
  position: z.string().nullable(),
  time: instant.nullable(),
  events: z.int(),
  behind: z.int().describe('Events that the projection furthest ahead has and this one has not'),
  haltedBy: z.string().nullable(),
})
type Row = { name: string; position: string | null; time: string | null; events: string; halted_by: string | null }

export function registerStatus(http: HttpServer, reader: Reader): void {
  registerRead(http, reader, {
    url: '/v1/status',
    operationId: 'get-status',
    tag: 'status',
    summary: 'How far the read models are',
    permission: 'status:read',
    projection: 'state',
    params: z.strictObject({}),
    query: z.strictObject({}),
    answer: {
      description: 'By projection',
      schema: z.object({ projections: z.array(projection), parkedStreams: z.int() }),
    },
    async handle({ db }) {
      const rows = await db<Row>(`
        select projection as name, case when commit < 0 then null else commit end as position,
          case when commit < 0 then null else time end as time, events, halted_by
        from read_model.checkpoint order by projection desc`)
      const [parked] = await db<{ streams: number }>('select count(*)::int as streams from read_model.parked_stream')
      const most = Math.max(...rows.map(row => Number(row.events)))
      const projections = rows.map(({ halted_by, events, ...row }) => {
        return { ...row, events: Number(events), behind: most - Number(events), haltedBy: halted_by }
      })
      return { body: { projections, parkedStreams: parked?.streams ?? 0 } }
    },
  })
}
