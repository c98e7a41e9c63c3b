import type { Rule } from '../rules.ts'

/** Code that is not visible, comes from elsewhere or fights the machine, and what could not be judged. */
export const codeRules: Rule[] = [
  {
    id: 'reverse-shell',
    title: 'Tie a shell to a network connection',
    match: [{ effect: ['reverse-shell'] }],
    decision: 'deny',
    reason: 'It gives a shell on the machine to whoever is at the other end of a connection.',
  },
  {
    id: 'exfiltrate',
    title: 'Send keys or password hashes away',
    match: [{ effect: ['exfiltrate'] }],
    decision: 'deny',
    reason: 'It sends keys or password hashes over the network.',
  },
  {
    id: 'fork-bomb',
    title: 'Start processes without end',
    match: [{ effect: ['fork-bomb'] }],
    decision: 'deny',
    reason: 'It starts processes that start processes until the machine stops.',
  },
  {
    id: 'remote-code',
    title: 'Run code straight from the network',
    match: [{ effect: ['remote-code'] }],
    decision: 'confirm',
    cases: [{ environment: 'production', decision: 'deny' }],
    reason: 'It runs code from the network that nobody has seen.',
  },
  {
    id: 'hidden-code',
    title: 'Run code that is encoded',
    match: [{ effect: ['hidden-code'] }],
    decision: 'confirm',
    cases: [{ environment: 'production', decision: 'deny' }],
    reason: 'It decodes code and runs it; what it does cannot be seen.',
  },
  {
    id: 'piped-code',
    title: 'Run the output of a program as code',
    match: [{ effect: ['piped-code'] }],
    decision: 'confirm',
    reason: 'It runs what another program prints; what that is is only known when it runs.',
  },
  {
    id: 'inline-code',
    title: 'Inline code that starts programs or deletes files',
    match: [{ effect: ['inline-code'] }],
    decision: 'confirm',
    reason: 'Code in another language starts programs or deletes files; it cannot be judged to the end.',
  },
  {
    id: 'too-large',
    title: 'A command larger than is looked at',
    match: [{ effect: ['bound'] }],
    decision: 'confirm',
    reason: 'The command is too long or nested too deeply to be judged to the end.',
  },
  {
    id: 'unparsed',
    title: 'A command that cannot be parsed',
    match: [{ effect: ['parse-error'] }],
    decision: 'confirm',
    reason: 'The command cannot be parsed, so what it does is not known.',
  },
  {
    id: 'dynamic-command',
    title: 'A command whose name is only known when it runs',
    match: [{ effect: ['dynamic'] }],
    decision: 'confirm',
    reason: 'Which program it runs is only known when it runs.',
  },
]
