/** How far each reactor has followed the log; may lag, because what a reactor does can be repeated. */
export const reactorCheckpoint = {
  name: '002-reactor-checkpoint',
  sql: `
    create schema reactors;
    create table reactors.checkpoint (name text primary key, commit numeric not null, prepare numeric not null);
  `,
} as const
