import { lookup } from 'node:dns'

export type Address = { address: string; family: 4 | 6 }
/** All addresses of a host name, in the order to try them. Rejects with an error that has the resolver's `code`. */
export type Resolver = (host: string) => Promise<Address[]>

/** What the operating system says: hosts file, then DNS. */
export const systemResolver: Resolver = host =>
  new Promise((resolve, reject) => {
    lookup(host, { all: true }, (error, found) => {
      if (error) reject(error)
      // lookup answers with 4 or 6.
      else resolve(found.map(({ address, family }) => ({ address, family: family as 4 | 6 })))
    })
  })
