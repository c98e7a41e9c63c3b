import { type RunningRole, runRole, type StopStage } from '../../infra/lifecycle.ts'
import { createLog } from '../../infra/log.ts'

// A role for the lifecycle's own specs: the first argument says how it behaves.
const [behaviour = ''] = process.argv.slice(2)
const said = (name: string) => async () => console.log(`stage ${name}`)
const stage = (name: string, run = said(name)): StopStage => ({ name, deadlineMs: 200, run })
const never = () => new Promise<void>(() => {})

const stages: Record<string, StopStage[]> = {
  late: [stage('first', never), stage('second')],
  failing: [stage('first', () => Promise.reject(new Error('no more'))), stage('second')],
  stuck: [{ name: 'first', deadlineMs: 60_000, run: never }],
}

async function start(): Promise<RunningRole> {
  if (behaviour === 'refusing') throw new Error('the cellar is flooded')
  if (behaviour === 'rejecting') setImmediate(() => void Promise.reject(new Error('nobody waits for me')))
  if (behaviour === 'throwing') setImmediate(() => JSON.parse('{'))
  const alive = setInterval(() => {}, 1000)
  const last = stage('last', async () => clearInterval(alive))
  return {
    endpoints: { answer: 42 },
    ready: () => [{ name: 'cellar', ok: behaviour !== 'unready' }],
    stop: [...(stages[behaviour] ?? [stage('first'), stage('second')]), last],
  }
}

await runRole('spec', start, {}, createLog('spec', 'info'), {
  readyFd: process.env.READY_FD ? Number(process.env.READY_FD) : undefined,
  parentPipe: process.env.PARENT_PIPE === '1',
  health: { host: '127.0.0.1', port: 0 },
})
