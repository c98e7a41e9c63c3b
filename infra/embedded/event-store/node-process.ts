import { runEventStoreNode } from './main.ts'

/**
 * Runs a node as its own process: options as one JSON line on standard input, one JSON line with port and connection
 * string on standard output once it listens, log lines on standard error. Ends on SIGTERM or when its input ends.
 */
async function main(): Promise<void> {
  const options = JSON.parse(await firstLine())
  const log = (line: object) => process.stderr.write(`${JSON.stringify(line)}\n`)
  const node = await runEventStoreNode({ ...options, log })
  const stop = () => void node.stop().then(() => process.exit(0))
  process.once('SIGTERM', stop)
  process.stdin.once('end', stop).resume()
  process.stdout.write(`${JSON.stringify({ port: node.port, connectionString: node.connectionString })}\n`)
}

function firstLine(): Promise<string> {
  return new Promise(resolve => {
    let text = ''
    process.stdin.setEncoding('utf8').on('data', function read(chunk: string) {
      text += chunk
      if (!text.includes('\n')) return
      process.stdin.off('data', read)
      resolve(text.slice(0, text.indexOf('\n')))
    })
  })
}

main().catch((error: Error) => {
  process.stderr.write(`${JSON.stringify({ level: 'fatal', msg: error.message })}\n`)
  process.exit(1)
})
