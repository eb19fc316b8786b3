/**
 * Cuts a stream into frames that say in their first bytes how long they are. Bytes are copied only where a
 * frame came in pieces, and then once.
 */
export function framesBy(
  headBytes: number,
  /** Of the whole frame, its head included. */
  lengthOf: (head: Buffer) => number,
): (data: Buffer) => Buffer[] {
  let parts: Buffer[] = [];
  let size = 0;
  let wanted = headBytes;

  return (data) => {
    parts.push(data);
    size += data.length;
    if (size < wanted) return [];
    let rest = parts.length === 1 ? data : Buffer.concat(parts);
    const frames: Buffer[] = [];
    for (;;) {
      wanted = rest.length < headBytes ? headBytes : Math.max(lengthOf(rest), headBytes);
      if (rest.length < wanted) break;
      frames.push(rest.subarray(0, wanted));
      rest = rest.subarray(wanted);
    }
    parts = rest.length === 0 ? [] : [rest];
    size = rest.length;
    return frames;
  };
}
