import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Edit, Mutation } from './list.ts'

/** The compiled program: this file is in build/test/simulation/mutations. */
export const build = path.resolve(import.meta.dirname, '../../..')
const root = path.dirname(build)

/** How often the text is in the compiled program; it must be there once. */
export function occurrences({ file, text }: Edit): number {
  return readFileSync(path.join(build, file), 'utf8').split(text).length - 1
}

/** A copy of the compiled program without the guard; answers its folder and how to remove it. */
export function mutant(mutation: Mutation): { folder: string; remove(): void } {
  const folder = mkdtempSync(path.join(tmpdir(), 'opsc-mutant-'))
  for (const part of ['command-api', 'executors', 'infra', 'reactors', 'schemas', 'test', 'vault'])
    cpSync(path.join(build, part), path.join(folder, 'build', part), { recursive: true, filter: isCode })
  for (const file of ['package.json']) cpSync(path.join(root, file), path.join(folder, file))
  symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'))
  for (const { file, text, by } of [mutation, ...(mutation.also ?? [])]) {
    const place = path.join(folder, 'build', file)
    writeFileSync(
      place,
      readFileSync(place, 'utf8').replace(text, () => by),
    )
  }
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

const isCode = (file: string) => !/\.(map|d\.ts)$/.test(file) && !/\.int\.spec\.js$/.test(file)
