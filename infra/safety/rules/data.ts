import type { Rule } from '../rules.ts'

const production = [{ environment: 'production', decision: 'deny' as const }]

/** Databases, caches, queues. */
export const dataRules: Rule[] = [
  {
    id: 'drop-database',
    title: 'Drop a database or a schema',
    match: [
      { effect: ['drop-database'] },
      { verb: ['dropdb'], without: ['--help'] },
      { verb: ['mysqladmin', 'mariadb-admin'], words: ['drop|shutdown'] },
      { verb: ['pg_dropcluster', 'dropuser'] },
      {
        verb: ['rabbitmqctl'],
        words: ['reset|force_reset|delete_vhost|purge_queue|delete_queue|stop|stop_app|shutdown'],
      },
      { verb: ['kafka-topics*', 'kafka-topics.sh'], option: ['--delete'] },
      { verb: ['etcdctl'], words: ['del'], option: ['--prefix', '--from-key'] },
      { verb: ['consul'], words: ['kv', 'delete'], option: ['-recurse'] },
      { verb: ['mongo', 'mongosh'], effect: ['drop-database'] },
      { verb: ['initdb', 'mysql_install_db'], option: ['--force'] },
      { verb: ['pg_resetwal'] },
      { verb: ['pg_restore'], option: ['-c', '--clean'] },
      { verb: ['influx'], words: ['bucket', 'delete'] },
      { verb: ['nodetool'], words: ['decommission|removenode|assassinate|drain'] },
    ],
    decision: 'confirm',
    cases: production,
    reason: 'It destroys a whole database or stops it for all who use it.',
  },
  {
    id: 'flush-cache',
    title: 'Empty a key-value store',
    match: [
      { verb: ['redis-cli', 'valkey-cli', 'keydb-cli'], words: ['flushall|flushdb|shutdown|debug|swapdb'] },
      {
        verb: ['redis-cli', 'valkey-cli', 'keydb-cli'],
        words: ['config', 'set', 'dir|dbfilename|requirepass|slaveof'],
      },
    ],
    decision: 'confirm',
    cases: production,
    reason: 'It deletes every key of a store at once.',
  },
  {
    id: 'drop-table',
    title: 'Drop tables, users or collections',
    match: [{ effect: ['drop-table'] }],
    decision: 'confirm',
    cases: production,
    reason: 'It destroys a table, user or collection and what hangs on it.',
  },
  {
    id: 'delete-all-rows',
    title: 'Truncate, or delete or change every row',
    match: [{ effect: ['delete-rows'] }],
    decision: 'confirm',
    cases: production,
    reason: 'It deletes or changes every row of a table.',
  },
]
