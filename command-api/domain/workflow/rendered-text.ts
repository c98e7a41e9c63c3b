import type { Action, RenderedStep } from '../../../schemas/steps/index.ts'
import { prologue } from './shell.ts'

/** What a person sees of a step in a plan: for commands the values, each on a line of its own, and the command. */
export function renderedText({ action, variables = {} }: RenderedStep): string {
  return `${prologue(variables)}${actionText(action)}`
}

function actionText(action: Action): string {
  switch (action.uses) {
    case 'ssh.command':
      return action.with.command
    case 'ssh.script': {
      const { interpreter, script } = action.with
      return `${[interpreter, '-', ...action.with.arguments.map(quoted)].join(' ')}\n${script}`
    }
    case 'file.put': {
      const { path, mode, content, artifact } = action.with
      return `write ${path} (mode ${mode}): ${content ?? `artifact ${artifact}`}`
    }
    case 'file.get':
      return `fetch ${action.with.path}`
    case 'http.request': {
      const { method, url, headers = {}, body } = action.with
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
      return [`${method} ${url}`, ...lines, ...(body === undefined ? [] : ['', body])].join('\n')
    }
    case 'wait.time':
      return 'until' in action.with ? `wait until ${action.with.until}` : `wait ${action.with.seconds} s`
    case 'wait.until': {
      const { probe, intervalSeconds } = action.with
      return `every ${intervalSeconds} s until: ${probeText(probe)}`
    }
    case 'noop':
      return 'nothing'
  }
}

type Probe = Extract<Action, { uses: 'wait.until' }>['with']['probe']
function probeText(probe: Probe): string {
  switch (probe.kind) {
    case 'command':
      return probe.command
    case 'tcp':
      return `port ${probe.port} accepts connections`
    case 'http':
      return `GET ${probe.url} answers ${probe.status ?? '2xx'}`
  }
}

const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`
