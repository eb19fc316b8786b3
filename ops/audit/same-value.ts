/** Values of messages: compared and shown, whatever class a decoder made them of. */

/** Whether two values say the same; a field that is `undefined` counts as not there. */
export function isSameValue(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (a instanceof Uint8Array || b instanceof Uint8Array) {
    if (!(a instanceof Uint8Array) || !(b instanceof Uint8Array)) return false;
    return Buffer.compare(a, b) === 0;
  }
  if (a instanceof Date || b instanceof Date) {
    return a instanceof Date && b instanceof Date && a.getTime() === b.getTime();
  }
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const [ofA, ofB] = [fieldsOf(a), fieldsOf(b)];
  if (ofA.size !== ofB.size) return false;
  for (const [name, value] of ofA) {
    if (!ofB.has(name) || !isSameValue(value, ofB.get(name))) return false;
  }
  return true;
}

function fieldsOf(value: object): ReadonlyMap<unknown, unknown> {
  if (value instanceof Map) return value;
  return new Map(Object.entries(value).filter(([, it]) => it !== undefined));
}

const shownLength = 300;

/** For people, on one line; cut off where it is long. */
export function shownValue(value: unknown): string {
  const text = JSON.stringify(value, (_, it: unknown) =>
    typeof it === "bigint" ? String(it) : it,
  );
  return text.length > shownLength ? `${text.slice(0, shownLength)}…` : text;
}
