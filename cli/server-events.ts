export type ServerEvent = { id: string; event: string; data: string }

const RETRIES = 10

/**
 * Reads `text/event-stream` (WHATWG HTML, section 9.2) and reconnects with Last-Event-ID when the connection breaks.
 * Ends when the server sends an event named `end`.
 */
export async function* serverEvents(
  open: (lastId: string | undefined) => Promise<Response>,
): AsyncGenerator<ServerEvent> {
  let lastId: string | undefined
  for (let broken = 0; ; broken++) {
    try {
      const response = await open(lastId)
      for await (const event of parse(response)) {
        broken = 0
        lastId = event.id || lastId
        if (event.event === 'end') return
        yield event
      }
    } catch (error) {
      if (!(error instanceof TypeError) || broken >= RETRIES) throw error
    }
    if (broken >= RETRIES) throw new Error('the live stream ended too often')
    await new Promise(resolve => setTimeout(resolve, Math.min(100 * 2 ** broken, 3_000)))
  }
}

async function* parse(response: Response): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true })
    const blocks = text.split(/\r?\n\r?\n/)
    text = blocks.pop() ?? ''
    for (const block of blocks) {
      const event = parseBlock(block)
      if (event) yield event
    }
  }
}

/** One event of the stream; undefined for a comment. */
export function parseBlock(block: string): ServerEvent | undefined {
  const event: ServerEvent = { id: '', event: 'message', data: '' }
  const data: string[] = []
  for (const line of block.split(/\r?\n/)) {
    const [, field, value] = /^([a-z]+): ?(.*)$/s.exec(line) ?? []
    if (field === 'data') data.push(value ?? '')
    else if (field === 'id') event.id = value ?? ''
    else if (field === 'event') event.event = value ?? ''
  }
  event.data = data.join('\n')
  return data.length || event.event !== 'message' ? event : undefined
}
