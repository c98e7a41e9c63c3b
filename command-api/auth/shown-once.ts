import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { commandAnswer } from '../answer.ts'
import type { Answer } from '../dispatch.ts'

const BYTES = 32
const told = 'It was shown in the first answer to this request and is kept nowhere: ask for a new one'

/** A secret behind a prefix that secret scanners can find and the id of whom it is for: 256 random bits. */
export const newSecret = (prefix: 'opsl' | 'opsk', id: string): string =>
  `${prefix}_${id.replaceAll('-', '')}_${randomBytes(BYTES).toString('base64url')}`

/** What a command answers that makes a secret: the only time that it leaves this process. */
export const shownOnceAnswer = (field: 'link' | 'apiKey') =>
  commandAnswer.extend({
    [field]: z.string().nullable().describe('Shown once; null in the answer to a repeated request'),
    notice: z.string().optional(),
  })
export type ShownOnce = Answer & { link?: string | null; apiKey?: string | null; notice?: string }

/** `counts`: whether this very secret is the one the log tells of; a repeat finds that of the first time. */
export const shown = (answer: Answer, field: 'link' | 'apiKey', secret: string, counts: boolean): ShownOnce =>
  counts ? { ...answer, [field]: secret } : { ...answer, [field]: null, notice: told }
