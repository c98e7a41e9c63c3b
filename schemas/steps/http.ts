import { z } from 'zod'
import { plainValue, template } from '../expression.ts'

const headerName = z.string().regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$/, 'a header name')

const secretParameter = z
  .string()
  .regex(/^\$\{\{\s*params\.\w{1,60}\s*\}\}$/, 'a secret parameter by itself: ${{ params.name }}')

/** Sent by the executor to an address its egress policy allows. */
export const httpRequest = {
  uses: z.literal('http.request'),
  with: z.strictObject({
    method: z.enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']).default('GET'),
    url: template(4_096).refine(text => /^https?:\/\//.test(text) || text.startsWith('${{'), 'an http or https URL'),
    headers: z
      .record(headerName, template(4_096))
      .refine(headers => Object.keys(headers).length <= 50, 'at most 50 headers')
      .optional(),
    body: template(262_144).optional(),
    /** Who is asking, by TLS: a credential of the kind client-certificate. Shown to the origin of the URL alone. */
    clientCertificate: secretParameter.optional(),
    followRedirects: z.int().min(0).max(5).default(0),
    maxBytes: z.int().min(0).max(10_485_760).default(1_048_576),
    expect: z
      .strictObject({
        /** Absent: any 2xx. */
        status: z.array(z.int().min(100).max(599)).min(1).max(50).optional(),
        /** JSON pointers (RFC 6901) and the plain values they must lead to. */
        json: z.record(z.string().max(500), plainValue).optional(),
      })
      .optional(),
  }),
}
