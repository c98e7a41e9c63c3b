import t from 'tap'
import { renderedStep, shellVariables, stepSchema } from './index.ts'

t.test('no step sets an environment', async t => {
  const dangerous = [
    ...['LD_PRELOAD', 'LD_LIBRARY_PATH', 'BASH_ENV', 'ENV', 'PATH', 'IFS', 'NODE_OPTIONS', 'PYTHONPATH', 'PERL5OPT'],
    ...['GIT_SSH_COMMAND', 'PSModulePath', 'PROMPT_COMMAND', 'opsc_', 'opsc_1;id', 'OPSC_1', 'opsc_12345'],
  ]
  for (const name of dangerous) {
    t.notOk(shellVariables.safeParse(JSON.parse(`{${JSON.stringify(name)}:"x"}`)).success, name)
    for (const key of ['env', 'environment', 'variables']) {
      const step = { id: 'a', uses: 'ssh.command', with: { command: 'id', [key]: { [name]: 'x' } } }
      t.notOk(stepSchema.safeParse(step).success, `${key}: ${name}`)
    }
  }
  t.ok(shellVariables.safeParse({ opsc_1: '$(id)' }).success)
  t.ok(stepSchema.safeParse({ id: 'a', uses: 'ssh.command', with: { command: 'id' } }).success)
  t.notOk('env' in renderedStep.shape)
})
