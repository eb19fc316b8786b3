/**
 * The value, frozen to its depth, so that a change in place throws where it is made. The bytes of a buffer cannot
 * be frozen, nor can what a map, a set or a date holds.
 */
export function frozen<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  if (ArrayBuffer.isView(value)) return value;
  Object.freeze(value);
  for (const part of Object.values(value)) frozen(part);
  return value;
}
