// Who may import whom. Everything here is proven to fail by test/rules/folder-rules.spec.ts on a planted import.

const SPECS = '\\.spec\\.ts$'
/** Code that ships: no specs and none of what exists to test or measure. */
const SHIPPED = '^(schemas|command-api|query-api|projectors|reactors|executors|vault|infra|cli|roles|opsconductor\\.ts)'
const FOLDERS = '^(schemas|command-api|query-api|projectors|reactors|executors|vault|infra|ui|cli|roles)/'

const EVENT_STORE = '^infra/event-store(/|\\.ts$)'
const POSTGRES = '^infra/postgres(/|\\.ts$)'

const packages = names => `(^|/)node_modules/(${names})/`

/** `folder` may reach into its own files and those of `allowed` (a regular expression), and into no other folder. */
function folder(name, path, allowed) {
  return {
    name: `${name}-imports`,
    severity: 'error',
    from: { path, pathNot: SPECS },
    to: { path: FOLDERS, pathNot: [path, ...allowed] },
  }
}

/** `names` (npm packages) may be imported from `places` only; their types too, unless `types` says so. */
function onePlace(name, names, places, { types = false } = {}) {
  return {
    name: `one-place-${name}`,
    severity: 'error',
    from: { path: SHIPPED, pathNot: [SPECS, ...places] },
    to: { path: packages(names), ...(types && { dependencyTypesNot: ['type-only'] }) },
  }
}

module.exports = {
  forbidden: [
    folder('schemas', '^schemas/', []),
    folder('domain', '^command-api/domain/', ['^schemas/']),
    folder('infra', '^infra/', ['^schemas/']),
    folder('command-api', '^command-api/', ['^schemas/', '^infra/']),
    folder('query-api', '^query-api/', ['^schemas/', '^infra/']),
    folder('projectors', '^projectors/', ['^schemas/', '^infra/']),
    folder('reactors', '^reactors/', ['^schemas/', '^infra/', '^command-api/dispatch(/|\\.ts$)', '^command-api/domain/']),
    folder('executors', '^executors/', ['^schemas/', '^infra/']),
    folder('vault', '^vault/', ['^schemas/', '^infra/']),
    folder('ui', '^ui/', ['^schemas/']),
    folder('cli', '^cli/', ['^schemas/']),
    {
      name: 'query-api-without-event-store',
      comment: 'As-of reads use versioned rows, never a replay for each request.',
      severity: 'error',
      from: { path: '^query-api/', pathNot: SPECS },
      to: { path: EVENT_STORE },
    },
    {
      name: 'executors-without-log-and-postgres',
      comment: 'Executors run in foreign networks and see neither the log nor the read models.',
      severity: 'error',
      from: { path: '^executors/', pathNot: SPECS },
      to: { path: [EVENT_STORE, POSTGRES] },
    },
    {
      name: 'schemas-need-only-zod',
      severity: 'error',
      from: { path: '^schemas/', pathNot: SPECS },
      to: { dependencyTypes: ['npm', 'npm-dev', 'npm-no-pkg', 'npm-unknown', 'core'], pathNot: packages('zod') },
    },
    {
      name: 'domain-is-pure',
      comment: 'Deciders take clock and ids through meta; nothing in them reads or writes.',
      severity: 'error',
      from: { path: '^command-api/domain/', pathNot: SPECS },
      to: { dependencyTypes: ['npm', 'npm-dev', 'npm-no-pkg', 'npm-unknown', 'core'], pathNot: packages('zod|luxon|@marcbachmann/cel-js|re2js') },
    },
    {
      name: 'embedded-parts-stay-behind-the-entry',
      comment: 'The code has one path; only endpoints differ.',
      severity: 'error',
      from: { path: SHIPPED, pathNot: ['^infra/(embedded|docker)/', '^infra/operator/nats-config\\.ts$', '^opsconductor\\.ts$', SPECS] },
      to: { path: '^infra/embedded/' },
    },
    onePlace('event-store-client', '@eventstore/db-client', ['^infra/event-store/', '^infra/embedded/event-store/']),
    onePlace('grpc', '@grpc/grpc-js|google-protobuf', ['^infra/embedded/event-store/']),
    onePlace('lmdb', 'lmdb', ['^infra/embedded/event-store/']),
    onePlace('pg', 'pg', [POSTGRES]),
    onePlace('nats', 'nats', ['^infra/bus(/|\\.ts$)']),
    onePlace('ssh2', 'ssh2', ['^executors/', '^bench/']),
    onePlace('fastify', 'fastify|@fastify/[^/]+', ['^(command-api|query-api)/', '^infra/http(/|\\.ts$)']),
    onePlace('pino', 'pino', ['^infra/log\\.ts$'], { types: true }),
    onePlace('cel', '@marcbachmann/cel-js', ['^command-api/domain/workflow/']),
    onePlace('re2', 're2js', ['^command-api/domain/workflow/', '^executors/output/']),
    onePlace('shell-parsers', 'unbash|web-tree-sitter|tree-sitter-powershell', ['^infra/safety/']),
    onePlace('commander', 'commander', ['^cli/']),
    {
      name: 'outbound-http-in-one-place',
      comment: 'Whatever is asked of others goes through infra/egress, which resolves, checks and pins; servers are named.',
      severity: 'error',
      from: { path: SHIPPED, pathNot: [SPECS, '^infra/egress/', '^infra/health\\.ts$', '^cli/loopback\\.ts$'] },
      to: {
        path: ['^(node:)?(https?|http2)$', packages('undici|axios|got|node-fetch|request|superagent|ky')],
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'shipped-code-without-tests-and-benches',
      severity: 'error',
      from: { path: SHIPPED, pathNot: SPECS },
      to: { path: ['^(test|bench)/', SPECS] },
    },
    {
      name: 'shipped-code-without-dev-packages',
      severity: 'error',
      from: { path: SHIPPED, pathNot: SPECS },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    },
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } } },
    { name: 'nothing-unresolved', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(build|ui/dist|\\.tap|\\.opsconductor)/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
}
