import { z } from 'zod'
import { instant } from '../schemas/kernel.ts'
import { stepRunId } from '../schemas/steps/base.ts'
import { attempt, n, outputStream } from '../schemas/target-run.ts'

/** Output as it is given out: `data` is base64, `byteOffset` counts over both streams of the attempt. */
export const outputChunk = z.object({
  n,
  stepId: stepRunId,
  attempt,
  seq: z.int(),
  stream: outputStream,
  byteOffset: z.int(),
  at: instant,
  outputSeq: z.string(),
  data: z.base64(),
})

export type ChunkRow = {
  output_seq: string
  n: number
  step_id: string
  attempt: number
  seq: number
  stream: 'stdout' | 'stderr'
  byte_offset: string
  at: string
  data: Buffer
}
export const chunkColumns = 'output_seq, n, step_id, attempt, seq, stream, byte_offset, at, data'
export const chunkView = (row: ChunkRow) => ({
  n: row.n,
  stepId: row.step_id,
  attempt: row.attempt,
  seq: row.seq,
  stream: row.stream,
  byteOffset: Number(row.byte_offset),
  at: row.at,
  outputSeq: row.output_seq,
  data: row.data.toString('base64'),
})
