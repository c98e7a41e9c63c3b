import type { Effect } from '../../facts.ts'
import { parseOptions, type Syntax } from '../../options.ts'
import { globMatches } from '../../text.ts'
import { reportPaths } from '../report.ts'
import type { Call } from '../walk-types.ts'

type Tool = Syntax & {
  verbs: readonly string[]
  effect: Effect
  /** With one of these the tool only looks. */
  reading?: readonly string[]
  /** The tool only writes with one of these. */
  writing?: RegExp
  /** Words that only look: `parted /dev/sda print`. */
  readingWords?: RegExp
}

const tools: readonly Tool[] = [
  {
    verbs: ['mkfs', 'mkfs.*', 'mke2fs', 'mkdosfs', 'mkntfs', 'mkswap', 'mkudffs', 'mkexfatfs', 'newfs', 'newfs_*'],
    effect: 'format',
    reading: ['-n', '-V', '-N'],
    short: 'tLUbiImOEdGgJCNrTFSsR',
  },
  {
    verbs: ['wipefs'],
    effect: 'wipe',
    writing: /^(-[a-z]*[ao][a-z]*|--all|--offset.*)$/,
    reading: ['-n', '--no-act'],
    short: 'ot',
  },
  {
    verbs: ['fdisk', 'cfdisk', 'gdisk', 'cgdisk'],
    effect: 'partition',
    reading: ['-l', '--list', '-s', '-x'],
    short: 'bcCHSuotw',
  },
  {
    verbs: ['sfdisk'],
    effect: 'partition',
    reading: [
      '-l',
      '--list',
      '-d',
      '--dump',
      '-J',
      '--json',
      '-n',
      '--no-act',
      '-V',
      '--verify',
      '-g',
      '-s',
      '-F',
      '-T',
    ],
    short: 'NXYuwW',
  },
  {
    verbs: ['sgdisk'],
    effect: 'partition',
    writing:
      /^(-[ZzongdeNRGutcl]|--(zap.*|clear|delete.*|new.*|largest.*|load.*|replicate.*|randomize.*|typecode.*|mbrtogpt|gpttombr.*|change-name.*|partition-guid.*))/,
    short: 'ndtcNRlu',
  },
  {
    verbs: ['parted'],
    effect: 'partition',
    reading: ['-l', '--list'],
    readingWords: /^(print|unit|help|align-check|quit|select)$/,
    short: 'a',
  },
  {
    verbs: ['blkdiscard', 'badblocks', 'nwipe', 'scrub', 'dc3dd', 'secure-delete', 'sfill', 'zerofree'],
    effect: 'wipe',
    short: 'olpsbcdi',
  },
  {
    verbs: ['hdparm'],
    effect: 'wipe',
    writing:
      /^--(security-erase.*|trim-sector.*|write-sector|repair-sector|make-bad-sector|dco-restore|sanitize-.*|fwdownload)/,
  },
  { verbs: ['mdadm'], effect: 'wipe', writing: /^(--zero-superblock|--create|-C|--stop|-S|--fail|-f|--remove|-r)$/ },
  {
    verbs: ['nvme'],
    effect: 'wipe',
    readingWords:
      /^(list|id-.*|smart-log|get-.*|error-log|fw-log|show-.*|list-.*|version|help|intel|wdc|telemetry-log)$/,
  },
  { verbs: ['debugfs'], effect: 'wipe', writing: /^-[a-z]*w/ },
]

/** Tools that write to disks below any file; reported only where they write. */
export function disk(call: Call): boolean {
  const tool = tools.find(({ verbs }) => verbs.some(verb => globMatches(verb, call.verb)))
  if (!tool) return false
  const { flags, words } = parseOptions(call.args, tool)
  const looks =
    tool.reading?.some(name => flags.has(name)) ||
    (tool.readingWords && words.some(word => tool.readingWords?.test(word)) && words.length <= 3)
  const paths = call.args.filter(word => word.includes('/') && !word.startsWith('-'))
  const targets = paths.length > 0 ? paths : words
  const acts = tool.writing ? call.args.some(arg => tool.writing?.test(arg)) : targets.length > 0
  if (looks || !acts) return false
  reportPaths(call, tool.effect, targets)
  return true
}
