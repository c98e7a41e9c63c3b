import t from 'tap'
import { specFor } from '../../test/support/decider-spec.ts'
import { fold } from './decider.ts'
import { type IdentifiedTargetCommand, target } from './target.ts'

const targetId = '0192d3c4-5e6f-7a8b-9c0d-00000000000a'
const runId = '0192d3c4-5e6f-7a8b-9c0d-0000000000aa'
const credentialId = '0192d3c4-5e6f-7a8b-9c0d-00000000000c'
const keyA = 'ssh-ed25519 AAAA'
const keyB = 'ssh-ed25519 BBBB'
const described = {
  targetId,
  name: 'web-1',
  address: 'web-1.example.org',
  port: 22,
  platform: 'linux' as const,
  tags: { env: 'prod' },
  hostKeyPolicy: 'first-use' as const,
}
const create = { type: 'create-target', data: described } as const
const registered = { type: 'TargetRegistered', data: described } as const
const withKey = { type: 'TargetRegistered', data: { ...described, hostKey: keyA } } as const
const strict = { type: 'TargetRegistered', data: { ...described, hostKeyPolicy: 'pinned' } } as const
const decommissioned = { type: 'TargetDecommissioned', data: { targetId, reason: 'old' } } as const
const reinstated = { type: 'TargetReinstated', data: { targetId, reason: 'repaired' } } as const
const moved = { type: 'TargetAddressChanged', data: { targetId, address: '192.0.2.1', port: 22 } } as const
const tagged = { type: 'TargetTagged', data: { targetId, key: 'env', value: 'test' } } as const
const observed = { type: 'HostKeyObserved', data: { targetId, hostKey: keyA, runId } } as const
const pinned = { type: 'HostKeyPinned', data: { targetId, hostKey: keyA } } as const
const observe = (hostKey: string) => ({ type: 'observe-host-key', data: { targetId, hostKey, runId } }) as const
const report = (presented: string) =>
  ({ type: 'report-host-key-mismatch', data: { targetId, presented, runId } }) as const
const mismatch = {
  type: 'HostKeyMismatchDetected',
  data: { targetId, expected: keyA, presented: keyB, runId },
} as const

t.test('a target is registered once', async t => {
  const spec = specFor(t, target)
  spec.given().when(create).thenRecords(registered)
  spec.given(registered).when(create).thenNothing()
  spec
    .given(registered)
    .when({ ...create, data: { ...described, name: 'web-2' } })
    .thenRejects('target-already-exists')
  spec
    .given(registered)
    .when({ ...create, data: { ...described, tags: {} } })
    .thenRejects('target-already-exists')
  spec.given(registered, decommissioned).when(create).thenRejects('target-already-exists')
})

t.test('a change that changes nothing records nothing', async t => {
  const spec = specFor(t, target)
  spec
    .given(registered)
    .when({ type: 'rename-target', data: { targetId, name: 'web-1' } })
    .thenNothing()
  spec
    .given(registered)
    .when({ type: 'change-target-address', data: { targetId, address: described.address } })
    .thenNothing()
  spec
    .given(registered)
    .when({ type: 'tag-target', data: { targetId, key: 'env', value: 'prod' } })
    .thenNothing()
  spec
    .given(registered)
    .when({ type: 'untag-target', data: { targetId, key: 'role' } })
    .thenNothing()
  spec
    .given(registered)
    .when({ type: 'reinstate-target', data: { targetId, reason: 'why not' } })
    .thenNothing()
  spec
    .given(registered, decommissioned)
    .when({ type: 'decommission-target', data: { targetId, reason: 'x' } })
    .thenNothing()
  spec
    .given(withKey)
    .when({ type: 'pin-host-key', data: { targetId, hostKey: keyA } })
    .thenNothing()
  const assigned = { type: 'CredentialAssignedToTarget', data: { targetId, credentialId } } as const
  spec.given(registered, assigned).when({ type: 'assign-credential', data: { targetId, credentialId } }).thenNothing()
})

t.test('each change has its event', async t => {
  const spec = specFor(t, target)
  const changes = [
    [
      { type: 'rename-target', data: { targetId, name: 'w' } },
      { type: 'TargetRenamed', data: { targetId, name: 'w' } },
    ],
    [{ type: 'change-target-address', data: { targetId, address: '192.0.2.1' } }, moved],
    [{ type: 'tag-target', data: { targetId, key: 'env', value: 'test' } }, tagged],
    [
      { type: 'untag-target', data: { targetId, key: 'env' } },
      { type: 'TargetUntagged', data: { targetId, key: 'env' } },
    ],
    [{ type: 'pin-host-key', data: { targetId, hostKey: keyA } }, pinned],
    [
      { type: 'assign-credential', data: { targetId, credentialId } },
      { type: 'CredentialAssignedToTarget', data: { targetId, credentialId } },
    ],
    [{ type: 'decommission-target', data: { targetId, reason: 'old' } }, decommissioned],
  ] as const
  for (const [command, event] of changes) {
    spec.given(registered).when(command).thenRecords(event)
    spec.given().when(command).thenRejects('target-not-found')
  }
  spec
    .given(registered, decommissioned)
    .when({ type: 'reinstate-target', data: reinstated.data })
    .thenRecords(reinstated)
})

t.test('a decommissioned target is left alone until it is reinstated', async t => {
  const rename = { type: 'rename-target', data: { targetId, name: 'w' } } as const
  const changes: IdentifiedTargetCommand[] = [
    rename,
    { type: 'change-target-address', data: { targetId, address: '192.0.2.1' } },
    { type: 'tag-target', data: { targetId, key: 'a', value: 'b' } },
    { type: 'pin-host-key', data: { targetId, hostKey: keyB } },
    observe(keyA),
    report(keyB),
  ]
  for (const change of changes)
    specFor(t, target).given(registered, decommissioned).when(change).thenRejects('target-decommissioned')
  specFor(t, target)
    .given(registered, decommissioned, reinstated)
    .when(rename)
    .thenRecords({ type: 'TargetRenamed', data: rename.data })
})

t.test('the first host key seen binds under first use', async t => {
  const spec = specFor(t, target)
  spec.given(registered).when(observe(keyA)).thenRecords(observed)
  spec.given(registered, observed).when(observe(keyA)).thenNothing()
  spec.given(registered, observed).when(observe(keyB)).thenRecords(mismatch)
  spec.given(registered, pinned).when(observe(keyB)).thenRecords(mismatch)
  spec.given(strict).when(observe(keyA)).thenRejects('conflict')
  spec.given(strict, pinned).when(observe(keyA)).thenNothing()
})

t.test('a mismatch is history only where a key was expected', async t => {
  const spec = specFor(t, target)
  spec.given(registered, observed).when(report(keyB)).thenRecords(mismatch)
  spec.given(registered, observed).when(report(keyA)).thenNothing()
  spec.given(registered).when(report(keyB)).thenNothing()
  spec.given(registered, observed, mismatch).when(observe(keyA)).thenNothing()
})

t.test('a new address forgets what was observed, not what was pinned', async t => {
  const spec = specFor(t, target)
  spec
    .given(registered, observed, moved)
    .when(observe(keyB))
    .thenRecords({ type: 'HostKeyObserved', data: { targetId, hostKey: keyB, runId } })
  spec.given(registered, pinned, moved).when(observe(keyB)).thenRecords(mismatch)
  spec.given(withKey, moved).when(observe(keyB)).thenRecords(mismatch)
})

t.test('tags are limited to 64', async t => {
  const many = Array.from({ length: 63 }, (_, i) => ({ ...tagged, data: { targetId, key: `k${i}`, value: '' } }))
  const spec = specFor(t, target)
  spec
    .given(registered, ...many)
    .when({ type: 'tag-target', data: { targetId, key: 'one-more', value: '' } })
    .thenRejects('too-many-tags')
  spec
    .given(registered, ...many)
    .when({ type: 'tag-target', data: tagged.data })
    .thenRecords(tagged)
})

t.test('the state follows the events', async t => {
  const renamed = { type: 'TargetRenamed', data: { targetId, name: 'w' } } as const
  const untagged = { type: 'TargetUntagged', data: { targetId, key: 'env' } } as const
  const assigned = { type: 'CredentialAssignedToTarget', data: { targetId, credentialId } } as const
  t.match(fold(target, [registered, renamed, tagged, moved, observed, assigned]), {
    status: 'active',
    name: 'w',
    tags: { env: 'test' },
    address: '192.0.2.1',
    credentialId,
    hostKey: { key: keyA, source: 'observed' },
  })
  t.match(fold(target, [withKey, untagged, decommissioned]), {
    status: 'decommissioned',
    tags: {},
    hostKey: { source: 'pinned' },
  })
  t.same(fold(target, [renamed]), { status: 'absent' })
})
