/** @throws Error for an event on something whose first event was never seen. */
export function required<State>(before: State | undefined): State {
  if (before === undefined) throw new Error('there is nothing this event could change')
  return before
}
