-- A projection may read replies too: the last one names no version where its command failed, and version 0
-- where it was the first of an aggregate and was refused.
alter table foldlog.checkpoints
  drop constraint checkpoints_check,
  drop constraint checkpoints_aggregate_version_check,
  add constraint checkpoints_aggregate_version_check check (aggregate_version >= 0),
  add constraint checkpoints_check check (aggregate_version is null or command_offset is not null);
comment on column foldlog.checkpoints.command_offset is
  'Of the last event in the view, or of the command that the last reply answers; null before the first';
comment on column foldlog.checkpoints.aggregate_version is
  'Of the last event in the view, or named by the last reply; null before the first, and where a reply names none';
