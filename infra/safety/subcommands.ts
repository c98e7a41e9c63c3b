import { parseOptions } from './options.ts'

/** Options with a value as a word of its own, which would otherwise pass for the subcommand. */
const valued: Record<string, { short?: string; long?: readonly string[] }> = {
  kubectl: {
    short: 'nsl',
    long: [
      '--namespace',
      '--context',
      '--kubeconfig',
      '--cluster',
      '--user',
      '--server',
      '--as',
      '--selector',
      '--token',
    ],
  },
  oc: { short: 'nsl', long: ['--namespace', '--context', '--kubeconfig', '--cluster'] },
  helm: { short: 'n', long: ['--namespace', '--kube-context', '--kubeconfig'] },
  docker: {
    short: 'Hclv',
    long: ['--volume', '--mount', '--host', '--context', '--config', '--log-level', '--filter'],
  },
  'docker-compose': { short: 'fp', long: ['--file', '--project-name'] },
  podman: { short: 'v', long: ['--volume', '--mount', '--connection', '--url', '--log-level', '--filter'] },
  git: { short: 'Cc', long: ['--git-dir', '--work-tree', '--namespace'] },
  aws: { long: ['--profile', '--region', '--output', '--endpoint-url', '--query'] },
  az: { short: 'gno', long: ['--subscription', '--resource-group', '--name', '--output'] },
  gcloud: { long: ['--project', '--zone', '--region', '--account', '--format'] },
  'redis-cli': { short: 'hpanusr', long: ['--user', '--pass', '--sid', '--tls'] },
  'valkey-cli': { short: 'hpanusr', long: ['--user', '--pass'] },
  mysqladmin: { short: 'uhPS', long: ['--user', '--host', '--port', '--socket'] },
  dropdb: { short: 'hpU' },
  'apt-get': { short: 'otc', long: ['--option', '--config-file'] },
  apt: { short: 'otc', long: ['--option'] },
  dnf: { long: ['--repo', '--installroot'] },
  nmcli: { short: 'fgw' },
  ip: { short: 'nbf', long: ['-netns', '-family'] },
  ipmitool: { short: 'HUPILEf' },
  virsh: { short: 'c', long: ['--connect'] },
  etcdctl: { long: ['--endpoints', '--cacert', '--cert', '--key'] },
  mount: { short: 'ot', long: ['--options', '--types'] },
}

/** The options and the words of a command, so that rules can name subcommands. Options of Windows begin with `/`. */
export function optionsAndWords(verb: string, args: readonly string[]): { options: string[]; words: string[] } {
  const { flags, words, values } = parseOptions(args, valued[verb] ?? {})
  const windows = words.filter(word => /^\/[A-Za-z?][\w:-]*$/.test(word)).map(word => word.toLowerCase())
  const full = [...values].flatMap(([name, list]) => list.map(value => `${name}=${value}`))
  return { options: [...flags, ...full, ...windows], words }
}
