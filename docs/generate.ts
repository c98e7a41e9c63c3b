import { readFileSync, writeFileSync } from 'node:fs'
import { commands, filterCommands } from '../schemas/commands.ts'
import { eventsByCategory } from '../schemas/events.ts'
import { problems } from '../schemas/problems.ts'
import { currentVersion } from '../schemas/upcasters.ts'
import { accessMatrixPage } from './access-matrix.ts'
import { fieldTable } from './json-schema-text.ts'

/** The repository; this file runs from the build folder. */
const root = new URL('../../', import.meta.url)
const notice = 'Generated from the schemas by `npm run docs`; do not edit.'

/** What each generated page says now, by its path. */
export function pages(): Record<string, string> {
  return { 'docs/commands.md': commandsPage(), 'docs/events.md': eventsPage() }
}

/** Writes the generated pages. */
export async function main(): Promise<void> {
  const all = { ...pages(), 'docs/access-matrix.md': await accessMatrixPage() }
  for (const [path, text] of Object.entries(all)) {
    writeFileSync(new URL(path, root), text)
    console.log(path)
  }
}

function commandsPage(): string {
  const all = Object.entries(commands)
  const categories = [...new Set(all.map(([, { category }]) => category))]
  const chapters = categories.map(category => {
    const own = all.filter(([, spec]) => spec.category === category)
    const many = Object.entries(filterCommands).filter(([, spec]) => spec.category === category)
    return [`## ${category}`, ...own.map(commandText), ...many.map(filterCommandText)].join('\n\n')
  })
  return page('Commands', [commandsIntroduction, ...chapters, problemsText()])
}

const commandsIntroduction = `\`POST /v1/commands/<name>\` with \`Authorization: Bearer <API key>\` and \`Content-Type: application/json\`.
The answer \`{commandId, stream, revision, position, events}\` comes once everything is durable; no events means that nothing
had to change. \`revision\` is also the \`ETag\`; hand \`position\` to a query as \`minPosition\` to read what the command did.

| header | |
|---|---|
| \`Idempotency-Key\` | the same key and body give the same answer, however often they are sent; another body is refused |
| \`If-Match\` | only if the resource is still at this revision |
| \`X-Justification\`, \`X-Ticket\` | kept with every event |
| \`X-Correlation-Id\` | a UUID that ties together what belongs together; made when absent |

\`POST /v1/commands\` takes up to 1000 commands as NDJSON, \`{"command","data","idempotencyKey"?}\` a line, and answers a line each.`

function commandText([name, { summary, permission, creates, idField, schema, example }]: [
  string,
  (typeof commands)[string],
]): string {
  const minted = creates ? ` A \`${idField}\` that is left out is made.` : ''
  return [
    `### ${name}`,
    `${summary}.${minted} Needs \`${permission}\`.`,
    fieldTable(schema),
    `\`\`\`json\n${JSON.stringify(example, null, 2)}\n\`\`\``,
  ].join('\n\n')
}

function filterCommandText([name, { summary, permission, schema, example }]: [
  string,
  (typeof filterCommands)[keyof typeof filterCommands],
]): string {
  return [
    `### ${name}`,
    `${summary}. Answers \`{commandId, matched, runs}\`, one entry for each run. Needs \`${permission}\`.`,
    fieldTable(schema),
    `\`\`\`json\n${JSON.stringify(example, null, 2)}\n\`\`\``,
  ].join('\n\n')
}

function problemsText(): string {
  const rows = Object.entries(problems).map(([code, [status, title]]) => `| ${status} | \`${code}\` | ${title} |`)
  const type = 'Errors are `application/problem+json` (RFC 9457) of type `urn:opsconductor:problem:<code>`.'
  return ['## Problems', type, ['| status | code | |', '|---|---|---|', ...rows].join('\n')].join('\n\n')
}

const streamOf: Record<keyof typeof eventsByCategory, string> = {
  target: 'target-<targetId>',
  credential: 'credential-<credentialId>',
  release: 'release-<runId>.<n>',
  job: 'job-<jobId>',
  executor: 'executor-<executorId>',
  run: 'run-<runId>',
  targetrun: 'targetrun-<runId>.<n>',
  command: 'command-<commandId>',
  artifact: 'artifact-<sha256>',
  refusal: 'refusal-<refusalId>',
  user: 'user-<userId>',
  serviceaccount: 'serviceaccount-<serviceAccountId>',
  apikey: 'apikey-<keyId>',
  session: 'session-<sessionId>',
  signin: 'signin-<attemptId>',
  role: 'role-<name>',
  group: 'group-<groupId>',
  grant: 'grant-<grantId>',
  kek: 'kek-<kekId>',
  sodrule: 'sodrule-<name>',
  sodviolation: 'sodviolation-<violationId>',
  breakglass: 'breakglass-<breakGlassId>',
}

function eventsPage(): string {
  // Entries of an object whose keys are known.
  const categories = Object.entries(eventsByCategory) as Array<
    [keyof typeof eventsByCategory, Record<string, EventSchema>]
  >
  const chapters = categories.map(([category, events]) =>
    [`## ${category}`, `Stream \`${streamOf[category]}\`.`, ...Object.entries(events).map(eventText)].join('\n\n'),
  )
  return page('Events', [eventsIntroduction, ...chapters])
}

const eventsIntroduction = `Every event carries, as metadata: \`commandId\`, \`$correlationId\`, \`$causationId\`, \`actor\`, \`origin\`, \`at\`,
\`schemaVersion\`, and where known \`command\`, \`traceparent\`, \`justification\`, \`ticket\`. Its id follows from the command's id, so
that a repeated append is recognised. No event holds a secret or the output of a step.`

type EventSchema = Parameters<typeof fieldTable>[0]

function eventText([type, schema]: [string, EventSchema]): string {
  const version = currentVersion(type)
  const fixture = JSON.parse(readFileSync(new URL(`schemas/fixtures/${type}.v${version}.json`, root), 'utf8'))
  const example = `\`\`\`json\n${JSON.stringify(fixture.data, null, 2)}\n\`\`\``
  return [`### ${type}`, `Version ${version}.`, fieldTable(schema), example].join('\n\n')
}

function page(title: string, parts: string[]): string {
  return `${[`# ${title}`, notice, ...parts].join('\n\n')}\n`
}
