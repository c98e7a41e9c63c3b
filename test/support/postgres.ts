import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import pg from 'pg'
import pino from 'pino'
import type { Test } from 'tap'
import { type RunningPostgres, runPostgres } from '../../infra/embedded/postgres/run.ts'

let shared: Promise<RunningPostgres> | undefined
let databases = 0

/**
 * The Postgres of this test file: started on first use, stopped and removed when the file's tests end.
 * `OPSCONDUCTOR_TEST_POSTGRES_BIN` names another installation's bin folder to run it from.
 */
export async function startPostgres(t: Test): Promise<RunningPostgres> {
  shared ??= start(topOf(t))
  return await shared
}

/** A new, empty database on the file's server; `url` connects to it. */
export async function freshDatabase(t: Test): Promise<{ url: string }> {
  const server = await startPostgres(t)
  databases += 1
  const name = `spec_${databases}`
  const admin = new pg.Client(server.url)
  await admin.connect()
  await admin.query(`create database ${name}`)
  await admin.end()
  const url = new URL(server.url)
  url.pathname = `/${name}`
  return { url: url.href }
}

async function start(t: Test): Promise<RunningPostgres> {
  const dataDir = mkdtempSync(path.join(tmpdir(), 'opsc-pg-'))
  const binDir = process.env.OPSCONDUCTOR_TEST_POSTGRES_BIN
  const log = pino({ level: 'silent' })
  const server = await runPostgres({ dataDir, log, durable: false, ...(binDir && { binDir }) })
  t.teardown(async () => {
    await server.stop()
    rmSync(dataDir, { recursive: true, force: true })
  })
  return server
}

// Tied to the file, not to the subtest that happened to ask first.
function topOf(t: Test): Test {
  let top = t
  // A subtest's parent is the Test (or the file's root, which has the same methods) that made it.
  while (top.parent) top = top.parent as Test
  return top
}
