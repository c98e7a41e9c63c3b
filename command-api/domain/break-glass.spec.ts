import t from 'tap'
import type { BreakGlassEvent } from '../../schemas/break-glass.ts'
import { specFor, specMeta } from '../../test/support/decider-spec.ts'
import { breakGlass } from './break-glass.ts'

const breakGlassId = '0192d3c4-5e6f-7a8b-9c0d-00000000000a'
const ann = { kind: 'user', id: '0192d3c4-5e6f-7a8b-9c0d-000000000001' } as const
const bob = { kind: 'user', id: '0192d3c4-5e6f-7a8b-9c0d-000000000002' } as const
const asked = { breakGlassId, reason: 'the shop is down', ticket: 'INC-1', minutes: 30 }
const activate = { type: 'activate-break-glass', data: asked } as const
const activated = (until = '2030-01-01T00:30:00.000Z'): BreakGlassEvent => ({
  ...{ type: 'BreakGlassActivated', data: { ...asked, principal: ann, until } },
})
const over = activated(specMeta.at)
const ended = (why: 'ended' | 'expired'): BreakGlassEvent => ({ type: 'BreakGlassEnded', data: { breakGlassId, why } })
const review = { type: 'review-break-glass', data: { breakGlassId, verdict: 'justified', reason: 'read it' } } as const
const reviewed: BreakGlassEvent = { type: 'BreakGlassReviewed', data: review.data }
const spec = (...events: BreakGlassEvent[]) => specFor(t, breakGlass).given(...events)

t.test('people take all rights for a time, programs do not', async () => {
  spec().when(activate, { who: ann }).thenRecords(activated())
  spec(activated()).when(activate, { who: ann }).thenNothing()
  spec(activated())
    .when({ ...activate, data: { ...asked, minutes: 60 } }, { who: ann })
    .thenRejects('break-glass-already-exists')
  spec()
    .when(activate, { who: { kind: 'service-account', id: bob.id } })
    .thenRejects('break-glass-not-possible')
  spec().when(activate, { who: undefined }).thenRejects('break-glass-not-possible')
})

t.test('they are given back, or the clock takes them', async () => {
  const end = { type: 'end-break-glass', data: { breakGlassId } } as const
  const expire = { type: 'expire-break-glass', data: { breakGlassId } } as const
  spec().when(end).thenRejects('break-glass-not-found')
  spec(activated()).when(end).thenRecords(ended('ended'))
  spec(activated()).when(expire).thenNothing()
  spec(over).when(expire).thenRecords(ended('expired'))
  spec(over).when(end).thenRecords(ended('expired'))
  spec(over, ended('expired')).when(expire).thenNothing()
})

t.test('somebody else looks at it when it is over', async () => {
  spec(activated()).when(review, { who: bob }).thenRejects('break-glass-not-over')
  spec(activated(), ended('ended')).when(review, { who: ann }).thenRejects('break-glass-self-review')
  spec(activated(), ended('ended')).when(review, { who: bob }).thenRecords(reviewed)
  spec(over).when(review, { who: bob }).thenRecords(ended('expired'), reviewed)
  spec(over, ended('expired'), reviewed).when(review, { who: bob }).thenRejects('break-glass-reviewed')
})
