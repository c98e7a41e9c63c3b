/** How the server stands towards the network. */
export type EdgeOptions = {
  /** Requests per second and principal, ten seconds of them at once; 0 is unlimited. */
  rateLimit: number
  /** The same for each address, of requests that no principal answers for; 0 is unlimited. */
  addressRateLimit: number
  /** Origins whose pages may ask from a browser, as browsers write them: `https://ui.example.org`. */
  corsOrigins: readonly string[]
  /** Addresses and CIDR ranges of proxies whose X-Forwarded-For, -Proto and -Host are believed. */
  trustedProxies: readonly string[]
  /** Open connections, all together and of one address. */
  maxConnections: number
  maxConnectionsPerAddress: number
}

/** An origin as browsers write it: scheme, host and a port that is not the scheme's own; never `null` and no wildcard. */
export function isOrigin(text: string): boolean {
  if (!URL.canParse(text)) return false
  const url = new URL(text)
  return (url.protocol === 'https:' || url.protocol === 'http:') && !text.includes('*') && url.origin === text
}

/** Generous: a person or a script never meets them, a flood does. */
export const defaultEdge: EdgeOptions = {
  rateLimit: 1_000,
  addressRateLimit: 50,
  corsOrigins: [],
  trustedProxies: [],
  maxConnections: 10_000,
  maxConnectionsPerAddress: 1_000,
}
