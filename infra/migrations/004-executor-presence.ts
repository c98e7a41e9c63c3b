/** When executors were last heard of, and how busy they were: shown, never decided upon, and not worth an event. */
export const executorPresence = {
  name: '004-executor-presence',
  sql: `
    create table reactors.executor_presence (
      executor_id text primary key, last_seen timestamptz not null, instance_id uuid not null,
      capacity int, busy int not null);
  `,
} as const
