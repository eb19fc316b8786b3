import { FatalError } from "../errors.ts";
import { atLeast, type Restore, slices } from "./restore-reads.ts";
import { requireSoleWriter } from "./sole-writer.ts";

/**
 * Where a restored partition goes on with the commands: where its state says, which has it from the log. The group's
 * offset counts only beyond what retention has deleted.
 * @throws FatalError `LOG_TRUNCATED`, `OFFSETS_AHEAD`, `COMMANDS_LOST`
 */
export async function resumePoint<S>(run: Restore<S>, signal: AbortSignal): Promise<bigint> {
  const { committed, marks, topics, partition, state } = run;
  const { start, end } = marks.commands;
  const of = `${topics.commands.name}/${partition}`;
  const resume = state.progress.commands;

  if (resume > end) {
    await requireSoleWriter(run, signal);
    throw new FatalError(
      "LOG_TRUNCATED",
      `${of} was consumed up to ${resume}, but ends at ${end}: the topic was deleted or created anew. ` +
        `Restore it, or start over in another namespace.`,
    );
  }
  const next = atLeast(resume, start);
  if (committed !== null && committed > next && (await holdsData(run, next, committed, signal))) {
    await requireSoleWriter(run, signal);
    throw new FatalError(
      "OFFSETS_AHEAD",
      `The group's committed offset ${committed} on ${of} would skip commands: the log says ${next}. ` +
        `Delete the group's offsets (kafka-consumer-groups.sh --delete-offsets); they are not needed.`,
    );
  }
  if (start > resume && (committed === null || committed < start)) {
    await requireSoleWriter(run, signal);
    throw new FatalError(
      "COMMANDS_LOST",
      `${of} begins at ${start}, but was consumed only up to ${resume}: commands in between were deleted ` +
        `before any worker saw them. To accept the loss, set the group's offset to ${start} ` +
        `(kafka-consumer-groups.sh --reset-offsets --to-earliest).`,
    );
  }
  return committed === null ? next : atLeast(next, committed);
}

/** Whether a command stands in `[from, before)`; control and aborted records are none. */
async function holdsData<S>(
  run: Restore<S>,
  from: bigint,
  before: bigint,
  signal: AbortSignal,
): Promise<boolean> {
  const marks = { ...run.marks, commands: { ...run.marks.commands, end: before } };
  if (before > run.marks.commands.end) return true;
  for await (const { records } of slices({ ...run, marks }, "commands", from, signal)) {
    if (records.length > 0) return true;
  }
  return false;
}
