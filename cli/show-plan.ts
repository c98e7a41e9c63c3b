import type { Context } from './context.ts'
import { print } from './output.ts'
import { type Plan, planText } from './plan.ts'

/** Shows what a run would do, without asking for it. */
export async function showPlan({ client, settings }: Context, name: 'trigger-run' | 'rerun', data: object) {
  const plan = await client.send<Plan>(name, { ...data, mode: 'plan' })
  if (settings.output === 'table') console.log(planText(plan))
  else print(settings.output, plan)
}
