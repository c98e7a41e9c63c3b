/** Folders without which the machine does not start or people cannot use it; with everything right below the listed parents. */
export const systemFolders = [
  ...[
    'bin',
    'boot',
    'dev',
    'etc',
    'lib',
    'lib32',
    'lib64',
    'libx32',
    'opt',
    'proc',
    'run',
    'sbin',
    'srv',
    'sys',
    'usr',
    'var',
  ],
  ...[
    'home',
    'root',
    'mnt',
    'media',
    'Applications',
    'Library',
    'System',
    'Users',
    'Volumes',
    'private',
    'nix',
    'snap',
    'efi',
  ],
  ...[
    'boot/efi',
    'boot/grub',
    'boot/grub2',
    'boot/loader',
    'dev/mapper',
    'dev/disk',
    'dev/shm',
    'lib/modules',
    'lib/systemd',
  ],
  ...[
    'etc/init.d',
    'etc/pam.d',
    'etc/ssh',
    'etc/ssl',
    'etc/systemd',
    'etc/systemd/system',
    'etc/apt',
    'etc/security',
    'etc/kubernetes',
  ],
  ...[
    'etc/sudoers.d',
    'etc/network',
    'etc/netplan',
    'etc/NetworkManager',
    'etc/sysconfig',
    'etc/cron.d',
    'etc/default',
    'etc/alternatives',
  ],
  ...[
    'usr/bin',
    'usr/include',
    'usr/lib',
    'usr/lib32',
    'usr/lib64',
    'usr/libexec',
    'usr/local',
    'usr/local/bin',
    'usr/local/lib',
  ],
  ...[
    'usr/sbin',
    'usr/share',
    'usr/lib/systemd',
    'usr/lib/modules',
    'usr/lib/x86_64-linux-gnu',
    'usr/lib/aarch64-linux-gnu',
  ],
  ...[
    'var/lib',
    'var/lib/dpkg',
    'var/lib/rpm',
    'var/lib/systemd',
    'var/lib/pacman',
    'var/spool',
    'var/mail',
    'var/run',
    'var/log',
    'var/db',
    'var/backups',
  ],
].map(folder => `/${folder}`)

/** Without these nobody logs in or nothing boots. */
export const criticalFiles = [
  /^\/etc\/(passwd|shadow|group|gshadow|sudoers|fstab|crypttab|inittab|ld\.so\.(preload|cache))-?$/,
  /^(\/private)?\/etc\/(master\.passwd|authorization)$/,
  /^\/boot\/(vmlinuz|initrd|initramfs|grub2?\/grub\.cfg|efi\/)/,
  /^\/(usr\/)?(s?bin|lib|lib64)\/(sh|bash|dash|init|systemd|sudo|login|mount|ld-linux.*|libc[.-].*|env|su|passwd|sshd)$/,
]

/** Files that decide who may log in, what starts and what names resolve to. */
export const guardedFiles = [
  /^\/etc\/(subuid|subgid|sudo\.conf|doas\.conf|nsswitch\.conf|login\.defs|machine-id|profile|shells|securetty|pam\.conf)$/,
  /^\/etc\/(ld\.so\.conf|rc\.local|hosts\.(allow|deny)|crontab|environment)$/,
  /^\/etc\/(sudoers\.d|pam\.d|security|ld\.so\.conf\.d|grub\.d|kubernetes|cron\.d|selinux|audit)\/./,
  /^\/etc\/ssh\/(sshd_config|ssh_host_.*)/,
  /^\/etc\/default\/grub$/,
  /^\/boot\/./,
  /^\/var\/spool\/cron\/./,
]

/** Keys and tokens. */
export const credentialFiles = [
  /^\/etc\/(shadow|gshadow|master\.passwd)-?$/,
  /^\/etc\/(sudoers$|ssl\/private\/|ssh\/ssh_host_.*_key$|krb5\.keytab$|kubernetes\/(admin\.conf|pki\/))/,
  /^(\uE005|\uE006|\/root|\/home\/[^/]+|\/Users\/[^/]+)\/\.(ssh|gnupg|aws|azure|kube|docker\/config\.json|netrc|pgpass|my\.cnf|git-credentials|vault-token|config\/gcloud)(\/|$)/,
  /\/(id_(rsa|dsa|ecdsa|ed25519)|authorized_keys2?)$/,
  /^\/proc\/(self|\d+)\/environ$/,
  /^\/run\/secrets\//,
]

/** Not secret although they lie beside keys. */
export const publicFiles = /(\.pub|\/known_hosts(\.old)?|\/\.ssh\/config)$/

export const disks =
  /^\/dev\/(sd[a-z]|hd[a-z]|vd[a-z]|xvd[a-z]|nvme\d|mmcblk\d|md\d|md\/|dm-\d|mapper\/.|loop\d|sr\d|nbd\d|zd\d|zvol\/|rdisk\d|disk\d|disk\/by-|mem$|kmem$|port$|root$|ubuntu-vg\/|vg[^/]*\/|[^/]+\/(root|home|swap|data|var)$)/

/** Devices anybody may write to without harm. */
export const harmlessDevices =
  /^\/dev\/(null|zero|full|random|urandom|tty\d*|stdin|stdout|stderr|console|ptmx|fd\/.*|pts\/.*|shm\/.+|tcp\/.*|udp\/.*|log|kmsg|ttyS\d+|ttyUSB\d+)$/

/** Writing here acts on the running kernel. */
export const kernelControls =
  /^\/(proc\/(sysrq-trigger|sys\/.*|acpi\/.*|\d+\/(mem|oom_.*))|sys\/(power|block|kernel|firmware|class\/net)\/.*)$/

/** Folders whose children hold the data of services. */
export const dataParents = ['/var/lib', '/var/spool', '/var/mail', '/var/www', '/var/db', '/var/opt', '/var/backups']

/** Below these nothing is missed for long. */
export const temporaryRoots = [
  '/tmp',
  '/var/tmp',
  '/dev/shm',
  '/private/tmp',
  '/var/cache',
  '/run/user',
  '/var/lib/apt/lists',
]
