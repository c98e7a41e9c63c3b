/**
 * What steps printed. Not a read model: it is nowhere else, so it survives rebuilds of the read models.
 *
 * `output_seq` counts per run without holes, and rows of a run become visible in its order: the counter row stays
 * locked until the transaction ends. So a reader may resume after any number it has seen. Whoever inserts for several
 * runs in one statement sorts by run, or two writers may wait for each other. (A repeated chunk, refused by the unique
 * constraint, leaves a hole; holes are harmless, order is not.)
 */
export const runOutput = {
  name: '001-run-output',
  sql: `
    create schema output;
    create table output.run_output_counter (run_id uuid primary key, last bigint not null) with (fillfactor = 50);
    create table output.run_output (
      output_seq bigint not null,
      run_id uuid not null,
      n int not null,
      step_id text not null,
      attempt int not null,
      epoch int not null,
      seq int not null,
      stream text not null check (stream in ('stdout', 'stderr')),
      byte_offset bigint not null,
      at timestamptz not null,
      data bytea not null,
      primary key (run_id, output_seq),
      unique (run_id, n, step_id, attempt, seq)
    );
    alter table output.run_output alter column data set storage external;

    create function output.number_run_output() returns trigger language plpgsql as $$
    begin
      insert into output.run_output_counter as c values (new.run_id, 1)
        on conflict (run_id) do update set last = c.last + 1
        returning last into new.output_seq;
      return new;
    end $$;
    create trigger number_run_output before insert on output.run_output
      for each row execute function output.number_run_output();
  `,
} as const
