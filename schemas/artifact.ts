import { z } from 'zod'
import { type MessageOf, sha256 } from './kernel.ts'

const file = { sha256, bytes: z.int().min(0) }

/** Appended by whoever serves the artifact store. Never offered over HTTP: there the file itself is sent. */
export const artifactCommands = {
  'store-artifact': z.strictObject(file),
  'remove-artifact': z.strictObject({ ...file, unusedDays: z.int() }),
}

export const artifactEvents = {
  /** A file is in the artifact store, durable. The same content once more, while it is there, is no event. */
  ArtifactStored: z.object(file),
  /** Nobody had used it for so many days. */
  ArtifactRemoved: z.object({ ...file, unusedDays: z.int() }),
}

export type ArtifactCommand = MessageOf<typeof artifactCommands>
export type ArtifactEvent = MessageOf<typeof artifactEvents>
