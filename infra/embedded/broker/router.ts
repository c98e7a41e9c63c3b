import { SubjectTrie } from './trie.ts'

export type Message = { subject: string; replyTo: string; headerBytes: number; payload: Buffer }

/** A connection as the router sees it. */
export interface Peer {
  /** Whether it wants its own messages back. */
  readonly echo: boolean
  /** Bytes it has still to take. */
  readonly pending: number
  /** Whether its permissions, and its state, let a message of this subject through to the subscription. */
  accepts(subscriber: Subscriber, subject: string): boolean
  send(subscriber: Subscriber, message: Message): void
  /** The subscription has had all it asked for. */
  finished(subscriber: Subscriber): void
}

export type Subscriber = {
  peer: Peer
  subject: string
  queue: string
  sid: string
  delivered: number
  /** Messages after which it ends; 0 for never. */
  max: number
  /** Whether each message needs a look at the permissions. */
  filtered: boolean
}

/** Who gets which message: every plain subscriber, and one of each queue group. */
export class Router {
  readonly #subscribers = new SubjectTrie<Subscriber>()

  get size(): number {
    return this.#subscribers.size
  }

  add(subscriber: Subscriber): void {
    this.#subscribers.add(subscriber.subject, subscriber)
  }

  remove(subscriber: Subscriber): void {
    this.#subscribers.remove(subscriber.subject, subscriber)
  }

  /** Returns the peers that got it, once for each delivery. */
  publish(from: Peer, message: Message): Peer[] {
    const reached: Peer[] = []
    const groups = new Map<string, Subscriber[]>()
    for (const subscriber of this.#subscribers.match(message.subject)) {
      if (subscriber.queue === '') {
        if (deliver(from, subscriber, message)) reached.push(subscriber.peer)
      } else {
        const group = groups.get(subscriber.queue)
        if (group) group.push(subscriber)
        else groups.set(subscriber.queue, [subscriber])
      }
    }
    for (const group of groups.values()) {
      const peer = deliverToOne(from, group, message)
      if (peer) reached.push(peer)
    }
    return reached
  }

  /** Sends a message to one peer only, where it subscribes to the subject. */
  sendTo(peer: Peer, message: Message): void {
    const own = this.#subscribers.match(message.subject).find(subscriber => subscriber.peer === peer)
    if (own) deliver(undefined, own, message)
  }
}

/** A random member, or where that one cannot take it the next that can. */
function deliverToOne(from: Peer, group: Subscriber[], message: Message): Peer | undefined {
  const start = Math.floor(Math.random() * group.length)
  for (let step = 0; step < group.length; step += 1) {
    const member = group[(start + step) % group.length]
    if (member && deliver(from, member, message)) return member.peer
  }
  return undefined
}

function deliver(from: Peer | undefined, subscriber: Subscriber, message: Message): boolean {
  const { peer } = subscriber
  if (peer === from && !peer.echo) return false
  if (!peer.accepts(subscriber, message.subject)) return false
  subscriber.delivered += 1
  peer.send(subscriber, message)
  if (subscriber.max > 0 && subscriber.delivered >= subscriber.max) peer.finished(subscriber)
  return true
}
