import { realpathSync } from 'node:fs'

/** Runs one command or role; resolves when it is done, or never for a role that serves until it is stopped. */
export async function main(argv: string[]): Promise<void> {
  console.log(argv)
}

const script = process.argv[1]
if (script && realpathSync(script) === import.meta.filename) await main(process.argv.slice(2))
