/**
 * A new command id: a UUIDv7 (RFC 9562, 5.7), so that it carries the time at which it was issued. Works
 * wherever Web Crypto does, in a page without TLS too.
 */
export function newCommandId(nowMs: number): string {
  const chance = crypto.getRandomValues(new Uint8Array(10));
  chance[0] = ((chance[0] ?? 0) & 0x0f) | 0x70; // The version, 7.
  chance[2] = ((chance[2] ?? 0) & 0x3f) | 0x80; // The variant.
  const time = nowMs.toString(16).padStart(12, "0");
  const rest = Array.from(chance, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [time.slice(0, 8), time.slice(8), rest.slice(0, 4), rest.slice(4, 8), rest.slice(8)].join(
    "-",
  );
}
