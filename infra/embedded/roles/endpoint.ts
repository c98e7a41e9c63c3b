/** Where an embedded dependency listens: `host:port`, or any free loopback port when it is not told. */
export function listenAddress(endpoint: string | undefined): { host: string; port: number } {
  if (endpoint === undefined) return { host: '127.0.0.1', port: 0 }
  const { hostname, port } = new URL(`tcp://${endpoint}`)
  return { host: hostname, port: Number(port) }
}
