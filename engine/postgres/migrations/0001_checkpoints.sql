-- How far each version of a projection has come on each partition. The row moves in the transaction that
-- changes the view, is compared before, and so keeps a worker that has been replaced from writing.
create table foldlog.checkpoints (
  projection        text        not null,
  version           integer     not null,
  topic             text        not null,
  partition         integer     not null,
  next_offset       bigint      not null check (next_offset >= 0),
  -- Of the last event in the view; null before the first.
  command_offset    bigint      check (command_offset >= 0),
  aggregate_version bigint      check (aggregate_version >= 1),
  updated_at        timestamptz not null default now(),
  primary key (projection, version, topic, partition),
  check ((command_offset is null) = (aggregate_version is null))
) with (fillfactor = 50); -- Room to update a row in place: it moves with every batch.

-- A projector sees and moves the checkpoints of its own projection, readers see all.
alter table foldlog.checkpoints enable row level security;
create policy own_projection on foldlog.checkpoints
  using (current_user::text = 'projector_' || projection)
  with check (current_user::text = 'projector_' || projection);
create policy readers on foldlog.checkpoints for select
  using (current_user::text = 'foldlog_reader');

-- The versions of each projection whose tables have been made.
create table foldlog.projections (
  projection  text        not null,
  version     integer     not null,
  -- A hash of the tables as they were declared, and what came of it.
  declared    text        not null,
  shape       text        not null,
  tables      text[]      not null,
  -- Whether the public views read this version.
  live        boolean     not null default false,
  prepared_at timestamptz not null default now(),
  primary key (projection, version)
);
create unique index one_live_version on foldlog.projections (projection) where live;
