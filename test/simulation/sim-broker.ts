import { handlerQueue } from '../../infra/bus/handler-queue.ts'
import {
  type Bus,
  type BusHeaders,
  type BusMessage,
  BusNoResponders,
  type BusReply,
  type BusStatus,
  BusTimeout,
  type MessageHandler,
  type SubscribeOptions,
  type Subscription,
} from '../../infra/bus/port.ts'
import type { Random } from '../crash/random.ts'
import type { Process, Timeline } from './timeline.ts'

type Member = { subject: string; queue: string | undefined; owner: Client; push(message: BusMessage): void }
type Client = {
  process: Process
  cut: boolean
  listeners: Set<(status: BusStatus) => void>
  /** Told when the connection goes while they wait for an answer. */
  asking: Set<() => void>
}
/** Whoever waits for an answer, and whether it is still there. */
type Asker = { answer(reply: BusReply): void; isThere(): boolean }
/** How often a message is lost or comes twice, from 0 to 1, and how long it may take. */
export type BrokerFaults = { loses: number; doubles: number; slowMs: number }

type OnArrival = (process: Process, subject: string, data: Uint8Array | string) => void

const LATENCY_MS = 4
const UNHEARD_MS = 1_000
const bytesOf = (data: Uint8Array | string) => (typeof data === 'string' ? Buffer.from(data) : data)

/** Carries messages at most once, or not at all, or late, or twice; remembers nothing. */
export class SimBroker {
  readonly #members = new Set<Member>()
  readonly #clients = new Map<Process, Client>()
  readonly #time: Timeline
  readonly #random: Random
  /** Told of every message as it arrives at a process. */
  readonly #onArrival: OnArrival
  faults: BrokerFaults = { loses: 0, doubles: 0, slowMs: 0 }
  /** What is only said once, to whoever happens to listen, never arrives. */
  losesControl = false

  constructor(time: Timeline, random: Random, onArrival: OnArrival) {
    this.#time = time
    this.#random = random
    this.#onArrival = onArrival
  }

  connect(process: Process): Bus {
    const client: Client = { process, cut: false, listeners: new Set(), asking: new Set() }
    this.#clients.set(process, client)
    return {
      publish: (subject, data, headers = {}) => this.#publish(client, subject, data, headers),
      request: (subject, data, { timeoutMs, headers = {} }) => this.#request(client, subject, data, headers, timeoutMs),
      subscribe: (subject, handler, options = {}) => this.#subscribe(client, subject, handler, options),
      status: () => (client.cut ? 'reconnecting' : 'connected'),
      onStatus: listener => {
        client.listeners.add(listener)
        return () => client.listeners.delete(listener)
      },
      flush: async () => undefined,
      close: async () => this.forget(process),
    }
  }

  /** The process is gone or has left. */
  forget(process: Process): void {
    const client = this.#clients.get(process)
    for (const member of this.#members) if (member.owner === client) this.#members.delete(member)
    this.#clients.delete(process)
  }

  /** The connection of a process goes, or comes back. */
  cut(process: Process, cut: boolean): void {
    const client = this.#clients.get(process)
    if (!client || client.cut === cut) return
    client.cut = cut
    const status = cut ? 'reconnecting' : 'connected'
    for (const listener of client.listeners) this.#time.schedule(0, process, () => listener(status))
    if (cut) for (const lost of client.asking) this.#time.schedule(0, process, lost)
  }

  /** The broker itself goes away or is back, with nothing kept. */
  cutAll(cut: boolean): void {
    for (const process of this.#clients.keys()) this.cut(process, cut)
  }

  #publish(client: Client, subject: string, data: Uint8Array | string, headers: BusHeaders): void {
    if (this.losesControl && subject.startsWith('opsc.control.')) return
    if (!client.cut) this.#carry(() => this.#deliver(subject, data, headers, undefined))
  }

  #request(client: Client, subject: string, data: Uint8Array | string, headers: BusHeaders, timeoutMs: number) {
    return new Promise<BusReply>((resolve, reject) => {
      const { process } = client
      const late = () => {
        client.asking.delete(late)
        reject(new BusTimeout(`nobody answered on ${subject}`))
      }
      this.#time.schedule(timeoutMs, process, late)
      if (client.cut) return
      client.asking.add(late)
      const answer = (reply: BusReply) => {
        if (client.cut) return
        client.asking.delete(late)
        this.#time.schedule(0, process, () => resolve(reply))
      }
      const isThere = () => this.#clients.get(process) === client && !client.cut
      this.#carry(() => {
        if (this.#deliver(subject, data, headers, { answer, isThere })) return
        this.#time.schedule(1, process, () => reject(new BusNoResponders(subject)))
      })
    })
  }

  #deliver(subject: string, data: Uint8Array | string, headers: BusHeaders, asker: Asker | undefined): boolean {
    const chosen = this.#choose(subject)
    for (const { owner, push } of chosen) {
      this.#time.schedule(0, owner.process, () => {
        this.#onArrival(owner.process, subject, data)
        push({
          ...{ subject, data: typeof data === 'string' ? Buffer.from(data) : data, headers },
          hasReply: asker !== undefined,
          reply: (reply, more = {}) => {
            if (asker && !owner.cut) this.#carry(() => asker.answer({ data: bytesOf(reply), headers: more }))
          },
          deliver: reply => this.#hand(owner, asker, bytesOf(reply)),
        })
      })
    }
    return chosen.length > 0
  }

  /** That nobody is there is told by a message, which may get lost like any other. */
  #hand(owner: Client, asker: Asker | undefined, data: Uint8Array): Promise<boolean> {
    if (!asker || owner.cut) return Promise.resolve(false)
    return new Promise(resolve => {
      this.#time.schedule(UNHEARD_MS, owner.process, () => resolve(true))
      this.#carry(() => {
        if (asker.isThere()) asker.answer({ data, headers: {} })
        else this.#carry(() => this.#time.schedule(0, owner.process, () => resolve(false)))
      })
    })
  }

  /** Each subscriber, and of each queue one member. */
  #choose(subject: string): Member[] {
    const chosen: Member[] = []
    const queues = new Map<string, Member[]>()
    for (const member of this.#members) {
      if (member.owner.cut || !matches(member.subject, subject)) continue
      if (member.queue === undefined) chosen.push(member)
      else queues.set(member.queue, [...(queues.get(member.queue) ?? []), member])
    }
    for (const members of queues.values()) chosen.push(this.#random.pick(members))
    return chosen
  }

  #subscribe(owner: Client, subject: string, handler: MessageHandler, options: SubscribeOptions): Subscription {
    const { queue, concurrency = 1, maxWaiting = 10_000 } = options
    const waiting = handlerQueue<BusMessage>({ handler, onError: () => undefined, concurrency, maxWaiting })
    const member: Member = { subject, queue, owner, push: message => void waiting.push(message) }
    this.#members.add(member)
    const leave = () => void this.#members.delete(member)
    return {
      subject,
      unsubscribe: () => {
        leave()
        waiting.clear()
      },
      drain: () => {
        leave()
        return waiting.idle()
      },
    }
  }

  #carry(arrive: () => void): void {
    const { loses, doubles, slowMs } = this.faults
    if (this.#random.next() < loses) return
    const copies = this.#random.next() < doubles ? 2 : 1
    for (let i = 0; i < copies; i += 1) {
      const slow = this.#random.next() < 0.1 ? this.#random.next() * slowMs : 0
      this.#time.schedule(1 + this.#random.next() * LATENCY_MS + slow, undefined, arrive)
    }
  }
}

function matches(pattern: string, subject: string): boolean {
  if (!pattern.endsWith('.*')) return pattern === subject
  const head = pattern.slice(0, -1)
  return subject.startsWith(head) && !subject.slice(head.length).includes('.')
}
