import { createClient } from './client.ts'
import { UsageError } from './errors.ts'
import { openLoopback } from './loopback.ts'
import { note } from './output.ts'
import { authStep, type NextStep } from './signed-in.ts'

type Begun = { url: string; state: string; begun: string }

/** By the OpenID provider of this API: the browser of this machine goes there and comes back to a port of this process. */
export async function byProvider(url: string, withinSeconds: number): Promise<NextStep> {
  const loopback = await openLoopback()
  try {
    const loopbackPort = String(loopback.port)
    const { begun, state, ...to } = await createClient(url, undefined).get<Begun>('/v1/auth/oidc/begin', {
      loopbackPort,
    })
    note(`Open this address in a browser on this machine:\n${address(to.url)}`)
    const returned = await loopback.redirect(state, withinSeconds * 1000)
    return await authStep(url, 'oidc/finish', { ...returned, begun })
  } finally {
    loopback.close()
  }
}

/** Percent-encoded, so that a terminal shows it as it is. */
function address(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol !== 'https:' && url?.protocol !== 'http:')
    throw new UsageError('the API names no address of a provider')
  return url.href
}
