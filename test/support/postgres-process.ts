import { pino } from 'pino'
import { type PostgresOptions, runPostgres } from '../../infra/embedded/postgres/run.ts'

// Runs Postgres for a spec that wants to kill its launcher: options as JSON in the first argument, one JSON line when
// it serves.
const options: Omit<PostgresOptions, 'log'> = JSON.parse(process.argv[2] ?? '{}')
const server = await runPostgres({ ...options, log: pino({ level: 'silent' }) })
console.log(JSON.stringify({ pid: server.pid, url: server.url }))
