import { z } from 'zod'
import { template } from '../expression.ts'
import { sha256 } from '../kernel.ts'

const path = template(4_096).refine(text => text.startsWith('/') || text.startsWith('${{'), 'an absolute path')
const artifact = z.union([sha256, template(500).refine(text => text.includes('${{'), 'a SHA-256 or an expression')])

/** Writes a file whole: beside it first, checked by its SHA-256, then renamed over it. */
export const filePut = {
  uses: z.literal('file.put'),
  with: z
    .strictObject({
      path,
      content: template(262_144).optional(),
      /** SHA-256 of a stored artifact. */
      artifact: artifact.optional(),
      mode: z
        .string()
        .regex(/^0?[0-7]{3,4}$/, 'an octal mode such as 0644')
        .default('0644'),
      owner: z
        .string()
        .regex(/^[a-z_][a-z0-9_-]{0,31}(?::[a-z_][a-z0-9_-]{0,31})?$/, 'user or user:group')
        .optional(),
    })
    .refine(w => (w.content === undefined) !== (w.artifact === undefined), 'either content or artifact'),
}

/** Fetches a file into the artifact store. Its outputs `sha256` and `bytes` need no declaration. */
export const fileGet = {
  uses: z.literal('file.get'),
  with: z.strictObject({ path, maxBytes: z.int().min(1).max(1_073_741_824).default(104_857_600) }),
}
