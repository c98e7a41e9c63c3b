import type { Syntax } from '../options.ts'

/** How to find the command inside another one's words. */
export type Wrapper = Syntax & {
  /** Words that belong to the wrapper and stand before the command: a duration, a host, a container. */
  skip?: number
  /** `NAME=value` words may stand before the command. */
  assignments?: true
  /** The command stands after `--` where there is one. */
  separated?: true
  /** The command runs with more rights. */
  privileged?: true
  /** The words are joined and read by a shell again. */
  text?: true
  /** The command runs on another machine or in a container: another folder, another user. */
  elsewhere?: true
  /** Subcommands that must stand first: `docker exec`, with options of the tool before them. */
  under?: readonly string[]
  /** Folders of the machine may be handed in, which rules want to see. */
  volumes?: true
  /** Options whose value is shell text: `su -c`. */
  scripts?: readonly string[]
}

const sudo: Wrapper = {
  short: 'ugpCrtTUDRh',
  long: [
    '--user',
    '--group',
    '--prompt',
    '--chdir',
    '--chroot',
    '--host',
    '--role',
    '--type',
    '--command-timeout',
    '--close-from',
    '--other-user',
  ],
  assignments: true,
  privileged: true,
}
const plain: Wrapper = {}
const containerRun: Wrapper = {
  volumes: true,
  under: ['run', 'create'],
  short: 'vepwuhlmc',
  long: [
    '--volume',
    '--env',
    '--publish',
    '--workdir',
    '--user',
    '--name',
    '--network',
    '--net',
    '--mount',
    '--label',
    '--entrypoint',
    '--env-file',
    '--hostname',
    '--platform',
    '--memory',
    '--cpus',
    '--add-host',
    '--cap-add',
    '--device',
    '--restart',
    '--pid',
    '--ipc',
    '--image',
    '--namespace',
    '--log-driver',
    '--pull',
    '--gpus',
    '--security-opt',
    '--ulimit',
    '--shm-size',
    '--tmpfs',
    '--volumes-from',
    '--dns',
    '--link',
    '--cidfile',
    '--group-add',
  ],
  skip: 1,
  elsewhere: true,
}
const containerExec: Wrapper = {
  under: ['exec'],
  short: 'euwnc',
  long: ['--env', '--user', '--workdir', '--env-file', '--detach-keys', '--index'],
  skip: 1,
  elsewhere: true,
}
const podExec: Wrapper = {
  under: ['exec'],
  separated: true,
  short: 'cnfs',
  long: [
    '--container',
    '--namespace',
    '--context',
    '--kubeconfig',
    '--filename',
    '--server',
    '--cluster',
    '--pod-running-timeout',
  ],
  skip: 1,
  elsewhere: true,
}
const hosts: Wrapper = {
  short: 'wxglhHoeptfSdcuORjnbrCqX',
  long: ['--group', '--host', '--hosts', '--user'],
  text: true,
  elsewhere: true,
}

/** By name of the wrapper; the first entry that fits is taken. */
export const wrappers: ReadonlyMap<string, readonly Wrapper[]> = new Map<string, readonly Wrapper[]>([
  ...['sudo', 'doas', 'pkexec', 'run0', 'gosu-sudo', 'dzdo', 'pfexec'].map((name): [string, Wrapper[]] => [
    name,
    [sudo],
  ]),
  ...[
    'nohup',
    'setsid',
    'unbuffer',
    'chronic',
    'fakeroot',
    'eatmydata',
    'catchsegv',
    'linux32',
    'linux64',
    'dbus-run-session',
    'noglob',
    'nocorrect',
    'caffeinate',
    'systemd-inhibit',
    'systemd-cat',
    'ltrace',
    'valgrind',
    'xvfb-run',
    'aa-exec',
    'unshare',
    'firejail',
    'setarch',
    'then',
    'do',
    'else',
  ].map((name): [string, Wrapper[]] => [name, [plain]]),
  ['env', [{ short: 'uCP', long: ['--unset', '--chdir'], assignments: true, scripts: ['-S', '--split-string'] }]],
  ['timeout', [{ short: 'ks', long: ['--kill-after', '--signal'], skip: 1 }]],
  ['nice', [{ short: 'n', long: ['--adjustment'] }]],
  ['ionice', [{ short: 'cnpPu', long: ['--class', '--classdata', '--pid'] }]],
  ['chrt', [{ short: 'pTPD', skip: 1 }]],
  ['taskset', [{ skip: 1 }]],
  ['numactl', [{ short: 'NmCpilx' }]],
  ['cpulimit', [{ short: 'leP' }]],
  ['stdbuf', [{ short: 'ioe', long: ['--input', '--output', '--error'] }]],
  ['time', [{ short: 'fo', long: ['--format', '--output'] }]],
  ['strace', [{ short: 'eopPsuEIOSXab' }]],
  [
    'flock',
    [{ short: 'wEc', long: ['--timeout', '--wait', '--conflict-exit-code'], skip: 1, scripts: ['-c', '--command'] }],
  ],
  ['chroot', [{ long: ['--userspec', '--groups'], skip: 1, privileged: true, elsewhere: true }]],
  ['arch-chroot', [{ short: 'u', skip: 1, privileged: true, elsewhere: true }]],
  ['nsenter', [{ short: 'tSGW', long: ['--target', '--setuid', '--setgid'], privileged: true, elsewhere: true }]],
  [
    'systemd-run',
    [
      {
        short: 'puEMHtdrGPqS'.replace(/[tdrGPqS]/g, ''),
        long: [
          '--unit',
          '--property',
          '--uid',
          '--gid',
          '--setenv',
          '--machine',
          '--host',
          '--slice',
          '--description',
          '--on-calendar',
          '--on-active',
          '--on-boot',
          '--on-unit-active',
          '--working-directory',
          '--nice',
          '--service-type',
        ],
      },
    ],
  ],
  [
    'runuser',
    [
      {
        short: 'ugGs',
        long: ['--user', '--group'],
        scripts: ['-c', '--command', '--session-command'],
        privileged: true,
      },
    ],
  ],
  [
    'su',
    [
      {
        short: 'sgGwT',
        long: ['--shell', '--group'],
        scripts: ['-c', '--command', '--session-command'],
        privileged: true,
        skip: 9,
      },
    ],
  ],
  ['sg', [{ scripts: ['-c'], skip: 1, text: true }]],
  ['gosu', [{ skip: 1 }]],
  ['su-exec', [{ skip: 1 }]],
  ['setpriv', [{ long: ['--reuid', '--regid', '--groups', '--inh-caps', '--bounding-set'] }]],
  ['capsh', [{ scripts: ['-c'] }]],
  ['script', [{ scripts: ['-c', '--command'], short: 'OIBTmoE', skip: 9 }]],
  ['watch', [{ short: 'nq', long: ['--interval', '--equexit'], text: true }]],
  ['ssh', [{ short: 'BbcDEeFIiJLlmOopQRSWw', skip: 1, text: true, elsewhere: true }]],
  ['autossh', [{ short: 'MBbcDEeFIiJLlmOopQRSWw', skip: 1, text: true, elsewhere: true }]],
  ['mosh', [{ short: 'p', skip: 1, elsewhere: true }]],
  ['plink', [{ short: 'lP', long: ['-pw', '-i', '-P', '-l'], skip: 1, text: true, elsewhere: true }]],
  ['sshpass', [{ short: 'pfdP' }]],
  ['pdsh', [hosts]],
  ['clush', [hosts]],
  ['pssh', [hosts]],
  ['parallel-ssh', [hosts]],
  ['dsh', [hosts]],
  [
    'docker',
    [
      containerExec,
      { ...containerExec, under: ['container', 'exec'] },
      { ...containerExec, under: ['compose', 'exec'] },
      containerRun,
      { ...containerRun, under: ['compose', 'run'] },
      { ...containerRun, under: ['container', 'run'] },
    ],
  ],
  ['podman', [containerExec, containerRun]],
  ['nerdctl', [containerExec, containerRun]],
  ['crictl', [containerExec]],
  ['docker-compose', [containerExec, containerRun]],
  ['kubectl', [podExec]],
  ['k3s', [{ ...podExec, under: ['kubectl', 'exec'] }]],
  ['oc', [podExec, { ...podExec, under: ['rsh'] }]],
  ['lxc', [{ ...containerExec, short: 'ue', separated: true }]],
  ['incus', [{ ...containerExec, short: 'ue', separated: true }]],
  ['lxc-attach', [{ short: 'nspR', long: ['--name'], elsewhere: true }]],
  ['machinectl', [{ under: ['shell'], short: 'E', skip: 1, elsewhere: true }]],
  ['vagrant', [{ under: ['ssh'], scripts: ['-c', '--command'], skip: 9, elsewhere: true }]],
  ['gcloud', [{ scripts: ['--command'], skip: 99, elsewhere: true }]],
  ['busybox', [plain]],
  ['toybox', [plain]],
  ['ansible', [{ short: 'imufMbKcelCt', scripts: ['-a', '--args'], skip: 9, elsewhere: true }]],
  [
    'tmux',
    [{ under: ['new-session|new|new-window|neww|split-window|splitw|run-shell|run'], short: 'snctFxye', text: true }],
  ],
  ['screen', [{ short: 'SctTph' }]],
  ['git-bash', [plain]],
])
