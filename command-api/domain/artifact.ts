import type { ArtifactCommand, ArtifactEvent } from '../../schemas/artifact.ts'
import { streams } from '../../schemas/events.ts'
import type { Decider } from './decider.ts'

export type Artifact = { status: 'absent' | 'stored' | 'removed' }

/** Whether a file is in the artifact store. Its content says which one it is, so there is nothing to change. */
export const artifact: Decider<Artifact, ArtifactCommand, ArtifactEvent, undefined> = {
  category: 'artifact',
  streamOf: ({ sha256 }) => streams.artifact(sha256),
  initial: { status: 'absent' },
  evolve(_, event) {
    switch (event.type) {
      case 'ArtifactStored':
        return { status: 'stored' }
      case 'ArtifactRemoved':
        return { status: 'removed' }
    }
  },
  decide({ type, data }, { status }) {
    switch (type) {
      case 'store-artifact':
        return status === 'stored' ? [] : [{ type: 'ArtifactStored', data }]
      case 'remove-artifact':
        // One whose storing nobody wrote down is removed like any other.
        return status === 'removed' ? [] : [{ type: 'ArtifactRemoved', data }]
    }
  },
}
