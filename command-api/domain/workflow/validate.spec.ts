import t from 'tap'
import { command, definitionOf } from '../../../test/support/workflow.ts'
import { validateWorkflow } from './index.ts'

const jobId = '0192d3c4-5e6f-7a8b-9c0d-000000000001'
type Given = Parameters<typeof definitionOf>[0]
const complaints = (given: Given) =>
  validateWorkflow(definitionOf(given), jobId).map(({ path, message }) => `${path}: ${message}`)

/** What is wrong with a command that stands after a step `first` with the outputs `text` and `data`. */
const first = command('first', 'true', { outputs: { text: { as: 'text' }, data: { as: 'json' } } })
const parameters = {
  name: { type: 'string', required: true },
  count: { type: 'integer', default: 1 },
  ratio: { type: 'number', default: 0.5 },
  hosts: { type: 'list', of: 'string', default: [] },
  token: { type: 'secret', required: true },
  note: { type: 'string' },
} satisfies Given['parameters']
const gate = { id: 'ask', uses: 'approval', with: { prompt: 'Go on?' } }

t.test('a workflow with everything in it is fine', async t => {
  t.same(
    complaints({
      parameters: { ...parameters, hosts: { type: 'list', of: 'string', default: ['a'] } },
      steps: [
        command('probe', 'uname -r', { outputs: { kernel: { as: 'text' }, facts: { as: 'json', pointer: '/a' } } }),
        { ...gate, if: 'params.count > 1', with: { prompt: 'Install ${{ params.name }} on ${{ run.targets }}?' } },
        command('a-b', 'echo "${{ params.name }}" ${{ item + "x" }}$(echo ${{ index }})', {
          forEach: 'params.hosts.filter(h, h.startsWith("w"))',
          if: 'steps.probe.outputs.kernel.matches("^5") && has(params.note) && params.note != ""',
          outputs: { line: { as: 'regex', pattern: 'v(\\d+)' } },
          undo: { uses: 'ssh.command', with: { command: 'undo ${{ item }} ${{ steps["a-b"].outcome }}' } },
          check: 'test -e ${{ params.name }}',
        }),
        command('join', 'echo ${{ steps["a-b"].outputs.line.join(",") }} ${{ params.hosts.join() }}'),
        command('all', 'echo ${{ string(size(all["probe"].outputs.kernel)) }} ${{ json(all.probe.outputs.facts) }}'),
        command('has', 'true', { if: 'has(steps["a-b"].outputs.line) && "line" in steps["a-b"].outputs' }),
        {
          id: 'put',
          uses: 'file.put',
          with: { path: '/etc/${{ params.name }}', content: '${{ params.ratio * 2.0 }}' },
        },
        { id: 'get', uses: 'file.get', with: { path: '/etc/hosts' } },
        {
          id: 'http',
          uses: 'http.request',
          with: {
            url: 'https://x/${{ urlEncode(params.name) }}',
            body: '${{ steps.get.outputs.sha256 }}',
            clientCertificate: '${{ params.token }}',
          },
        },
        { id: 'wait', uses: 'wait.time', with: { seconds: 3 } },
        { ...command('secret'), with: { command: 'cat', stdin: '${{ params.token }}' } },
        {
          id: 'sub',
          uses: 'job.run',
          with: { jobId: jobId.replace('1', '2'), parameters: { hosts: '${{ params.hosts }}' } },
        },
      ],
      onFailure: [
        command('tell', 'echo ${{ failure.detail }} ${{ steps.probe.outcome }}', {
          if: 'failure.class == "exit-nonzero"',
        }),
        command('again', 'echo ${{ steps.tell.exitCode }}'),
      ],
    }),
    [],
  )
})

const table: Array<[string, Given, string[]]> = [
  [
    'a circle of needs',
    { steps: [command('a', 'x', { needs: ['c'] }), command('b'), command('c', 'x', { needs: ['b'] })] },
    ['steps.0.needs: steps need each other in a circle: a → c → b → a'],
  ],
  [
    'a step that needs itself',
    { steps: [command('a', 'x', { needs: ['a'] })] },
    ['steps.0.needs: steps need each other in a circle: a → a'],
  ],
  [
    'an unknown step',
    { steps: [command('install'), command('b', 'x', { needs: ['instal'] })] },
    ['steps.1.needs: there is no step instal; did you mean install?'],
  ],
  [
    'the same id among steps and handlers',
    { steps: [command('a')], onFailure: [command('a')] },
    ['onFailure.0.id: there is a step a already'],
  ],
  [
    'too many rounds',
    {
      steps: Array.from({ length: 6 }, (_, i) =>
        command(`s${i}`, 'x', { forEach: Array.from({ length: 100 }, (_, n) => n) }),
      ),
    },
    ['steps: a run would have 600 steps; 500 are the most'],
  ],
  [
    'parameters that contradict themselves',
    {
      parameters: {
        a: { type: 'string', pattern: '(?=x)' },
        b: { type: 'integer', minimum: 5, maximum: 1 },
        c: { type: 'integer', minimum: 5, default: 1 },
        d: { type: 'enum', values: ['one', 'two'], default: 'too' },
        e: { type: 'list', of: 'integer', default: ['x'] },
        f: { type: 'string', pattern: '[a-z]+', default: 'A1' },
        g: { type: 'enum', values: ['one', 'one'] },
      },
      steps: [command('s')],
    },
    [
      'parameters.a.pattern: ',
      'parameters.b: no value fits: at least 5 and at most 1',
      'parameters.c.default: must be at least 5',
      'parameters.d.default: must be one of one, two; did you mean two?',
      'parameters.e.default: item 0 must be of type integer',
      'parameters.f.default: must match [a-z]+',
      'parameters.g.values: the same value twice',
    ],
  ],
  [
    'gates that are treated like steps on targets',
    {
      parameters,
      steps: [
        { ...gate, forEach: [1], on: { labels: 'a=b' }, if: 'target.name == "x"' },
        { ...gate, id: 'again', retry: { attempts: 2 }, with: { prompt: '${{ item }}' } },
        command('s', 'echo ${{ steps.ask.outcome }}'),
        { id: 'own', uses: 'job.run', with: { jobId } },
      ],
      onFailure: [{ ...gate, id: 'late' }],
    },
    [
      'steps.0.on: approval is done once for the run: it cannot have on',
      'steps.0.forEach: approval is done once for the run: it cannot have forEach',
      'steps.0.if: target is not known here: approval is done once for the run, which sees params and run only',
      'steps.1.retry: approval is done once for the run: it cannot have retry',
      'steps.1.with.prompt: item is known only in a step with forEach, in ${{ item }}',
      'steps.2.with.command: ask is done once for the run: it has no result on a target, in ${{ steps.ask.outcome }}',
      'steps.3.with.jobId: the job would run itself, and that run itself again, without end',
      'onFailure.0.uses: approval is done once for the run: it cannot be part of onFailure',
    ],
  ],
  [
    'conditions',
    {
      parameters,
      steps: [
        first,
        command('a', 'x', { if: 'params.count' }),
        command('b', 'x', { if: '1 +' }),
        command('c', 'x', { if: '${{ true }}' }),
        command('d', 'x', { if: 'params.name == 1' }),
        command('e', 'x', { if: '1 > 2' }),
        command('f', 'x', { if: 'params.count > 1 && steps.first.outcome == "failed"' }),
        command('g', 'x', { if: 'steps.first.outcome == "suceeded"' }),
        command('h', 'x', { if: 'params.token == "x"' }),
        command('i', 'x', { if: 'params.note != ""' }),
        command('j', 'x', { if: 'frobnicate(params.name)' }),
        command('k', 'x', { if: 'item == "x"' }),
        command('l', 'x', { if: 'failure.class == "x"' }),
      ],
    },
    [
      'steps.1.if: an int where true or false is needed',
      'steps.2.if: Unexpected token: EOF',
      'steps.3.if: write the expression alone, without ${{ }}',
      'steps.4.if: no such overload: string == int',
      'steps.5.if: the step can never run: this is always false',
      'steps.6.if: the step can never run: when first has failed, nothing after it is begun unless it has continueOnError',
      'steps.7.if: no outcome is suceeded: there are succeeded, failed, skipped, cancelled; did you mean succeeded?',
      'steps.8.if: the secret token cannot be compared: ask has(params.token)',
      'steps.9.if: the parameter note may be absent: give it a default, make it required, or ask has(params.note)',
      'steps.10.if: there is no function frobnicate()',
      'steps.11.if: item is known only in a step with forEach',
      'steps.12.if: failure is known only in the steps of onFailure',
    ],
  ],
  [
    'references',
    {
      parameters,
      steps: [
        first,
        command('a', 'echo ${{ params.nam }}'),
        command('b', 'echo ${{ params }}'),
        command('c', 'echo ${{ steps.frist.outcome }}'),
        command('d', 'echo ${{ steps.e.outcome }}'),
        command('e', 'echo ${{ steps.e.outcome }}'),
        command('f', 'echo ${{ steps.first.outputs.txt }}'),
        command('g', 'echo ${{ steps.first.output }}'),
        command('h', 'echo ${{ target.nam }}'),
        command('i', 'echo ${{ all.first.outcome }}'),
        command('j', 'echo ${{ steps[params.name].outcome }}'),
        command('k', 'echo ${{ taget.name }}'),
      ],
      onFailure: [command('z', 'echo ${{ json(all.first.outputs.text) }}')],
    },
    [
      'steps.1.with.command: there is no parameter nam; did you mean name?, in ${{ params.nam }}',
      'steps.2.with.command: name the parameter, as in params.version, in ${{ params }}',
      'steps.3.with.command: there is no step frist; did you mean first?, in ${{ steps.frist.outcome }}',
      'steps.4.with.command: the step e does not come before this one: name it in needs, or move it up',
      'steps.5.with.command: the step e does not come before this one: name it in needs, or move it up',
      'steps.6.with.command: the step first declares no output txt; did you mean text?',
      'steps.7.with.command: a step has no output; did you mean outputs?',
      'steps.8.with.command: target has no nam; did you mean name?',
      'steps.9.with.command: name an output, as in all["first"].outputs.version',
      'steps.10.with.command: name the step, as in steps["install"]',
      'steps.11.with.command: there is no taget; did you mean target?',
      'onFailure.0.with.command: all is not known here: other targets need not have come as far',
    ],
  ],
  [
    'values where they cannot stand',
    {
      parameters,
      steps: [
        command('a', "echo '${{ params.name }}'"),
        { id: 'b', uses: 'ssh.script', with: { script: 'echo ${{ params.name }}' } },
        command('c', 'login ${{ params.token }}'),
        { ...command('d'), with: { command: 'cat', stdin: 'x ${{ params.token }}' } },
        {
          id: 'e',
          uses: 'http.request',
          with: { url: 'https://x', headers: { authorization: '${{ params.token }}' } },
        },
        command('f', 'echo ${{ params.hosts }}'),
        command('g', 'echo ${{ params.name'),
        command('h', 'sh -c "echo ${{ params.name }}"'),
        command('i', 'echo ${{ params.name + 1 }}'),
        command('j', 'echo ${{ item }}', { forEach: 'params.name' }),
        command('k', 'echo ${{ item }}', { forEach: 'steps.a.outputs' }),
        command('l', 'echo ${{ item }}', { forEach: ['${{ params.name }}'] }),
        command('m', 'echo ${{ item.x }}', { forEach: 'params.hosts' }),
        {
          id: 'n',
          uses: 'job.run',
          with: { jobId: jobId.replace('1', '2'), parameters: { a: '${{ params.token }}', b: 'x${{ params.token }}' } },
        },
        { id: 'o', uses: 'http.request', with: { url: 'https://x', clientCertificate: '${{ params.name }}' } },
        { id: 'p', uses: 'http.request', with: { url: 'https://x', clientCertificate: '${{ params.nam }}' } },
      ],
    },
    [
      'steps.0.with.command: ${{ params.name }} stands between single quotes, where the shell would not see it: use double quotes',
      'steps.1.with.script: values reach a script as arguments: write "$1" in it and the expression in arguments',
      'steps.2.with.command: the secret token would be seen here: a secret goes to the stdin of an ssh.command only',
      'steps.3.with.stdin: the secret token has to be all of stdin',
      'steps.4.with.headers.authorization: a request gets a secret as its clientCertificate only: token is one',
      'steps.5.with.command: a list<string> where text is needed: say how, as .join(" ") or json() do, in ${{ params.hosts }}',
      'steps.6.with.command: an expression without its }}, at "${{ params.name"',
      'steps.7.with.command: ${{ params.name }} would be read as a program by sh -c',
      'steps.8.with.command: no such overload: string + int',
      'steps.9.forEach: a string where a list is needed',
      'steps.10.forEach: steps is not known here: how often a step is done is settled when the run is triggered, from params only',
      'steps.11.forEach: elements are taken as they are: write the whole list as one expression',
      "steps.12.with.command: Cannot index type 'string'",
      'steps.13.with.parameters.b: the secret token can only be handed on as it is, by itself',
      'steps.14.with.clientCertificate: a client certificate is a parameter of the type secret, in ${{ params.name }}',
      'steps.15.with.clientCertificate: there is no parameter nam; did you mean name?, in ${{ params.nam }}',
    ],
  ],
  [
    'steps that contradict themselves',
    {
      steps: [
        command('a', 'x', { retry: { attempts: 2, delaySeconds: 9, maxDelaySeconds: 1 } }),
        command('b', 'x', { outputs: { v: { as: 'regex', pattern: '(' } } }),
        { id: 'c', uses: 'noop', outputs: { v: { as: 'text' } } },
        { id: 'd', uses: 'wait.time', with: { seconds: 1 }, retry: { attempts: 2 } },
        command('e', 'x', { undo: { uses: 'ssh.command', with: { command: "echo '${{ target.name }}'" } } }),
        command('f', 'x', { check: 'echo ${{ nothing }}' }),
      ],
      onFailure: [command('z', 'x', { undo: { uses: 'noop' } })],
    },
    [
      'steps.0.retry.maxDelaySeconds: is shorter than delaySeconds',
      'steps.1.outputs.v.pattern: ',
      'steps.2.outputs: noop prints nothing that outputs could be taken from',
      'steps.3.retry: waiting does not fail: there is nothing to retry',
      'steps.4.undo.with.command: ${{ target.name }} stands between single quotes',
      'steps.5.check: there is no nothing',
      'onFailure.0.undo: what is done after a failure is not undone',
    ],
  ],
]

for (const [name, given, expected] of table)
  t.test(name, async t => {
    const found = complaints(given)
    for (const [i, message] of expected.entries()) t.ok(found[i]?.startsWith(message), `${message}\n${found[i]}`)
    t.equal(found.length, expected.length, found.join('\n'))
  })
