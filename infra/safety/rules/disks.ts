import type { Rule } from '../rules.ts'

/** Disks, volumes and file systems below any file. */
export const diskRules: Rule[] = [
  {
    id: 'wipe-disk',
    title: 'Format, repartition, erase or overwrite a disk',
    match: [{ effect: ['format', 'partition', 'wipe', 'overwrite'], kind: ['disk'] }],
    decision: 'deny',
    reason: 'It destroys what is on a disk.',
  },
  {
    id: 'wipe-unknown-disk',
    title: 'Format, repartition or erase what only a variable names',
    match: [
      {
        effect: ['format', 'partition', 'wipe'],
        kind: ['unknown', 'unknown-root', 'root', 'system-folder', 'home', 'critical-file', 'system-file'],
      },
      { effect: ['overwrite'], verb: ['dd', 'shred'], kind: ['unknown', 'unknown-root'] },
    ],
    decision: 'confirm',
    reason: 'What it formats or erases is only known when it runs.',
  },
  {
    id: 'destroy-volume',
    title: 'Destroy a logical volume, pool, dataset or encrypted volume',
    match: [
      { verb: ['lvremove', 'vgremove', 'pvremove', 'vgreduce', 'lvreduce'], without: ['--test'] },
      { verb: ['lvm'], words: ['lvremove|vgremove|pvremove|vgreduce|lvreduce'] },
      { verb: ['zpool'], words: ['destroy|labelclear'] },
      { verb: ['zfs'], words: ['destroy|rollback'], without: ['-n', '-nv', '-nvr'] },
      { verb: ['btrfs'], words: ['subvolume', 'delete'] },
      { verb: ['btrfs'], words: ['sub', 'del*'] },
      { verb: ['cryptsetup'], words: ['erase|luksErase|luksFormat|luksKillSlot|luksRemoveKey|reencrypt'] },
      { verb: ['dmsetup'], words: ['remove|remove_all|wipe_table'] },
      { verb: ['gluster'], words: ['volume', 'delete|stop'] },
      { verb: ['ceph'], words: ['osd', 'purge|destroy|rm|pool'], option: ['--yes-i-really*'] },
      { verb: ['rbd'], words: ['rm|remove'] },
      { verb: ['lvs-delete', 'multipath'], option: ['-F'] },
      { verb: ['mdadm'], effect: ['wipe'] },
      { verb: ['diskutil'], words: ['eraseDisk|eraseVolume|partitionDisk|secureErase|zeroDisk|reformat|apfs'] },
    ],
    decision: 'deny',
    reason: 'It destroys a volume and everything on it.',
  },
  {
    id: 'unmount-all',
    title: 'Unmount everything, or switch off swap everywhere',
    match: [
      { verb: ['umount'], option: ['-a', '--all'] },
      { verb: ['umount'], words: ['/'] },
      { verb: ['swapoff'], option: ['-a', '--all'] },
      { verb: ['mount'], option: ['-o=remount,ro*', '-o=ro,remount*'] },
    ],
    decision: 'confirm',
    reason: 'It takes file systems away from everything that uses them.',
  },
]
