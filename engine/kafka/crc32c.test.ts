import fc from "fast-check";
import { expect, test } from "vitest";
import { crc32c } from "./crc32c.ts";

/** fast-check prints the seed of a failure; `SEED=…` repeats it. */
const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);

const counting = Buffer.from(Array.from({ length: 32 }, (_, i) => i));

test.each([
  // RFC 3720, appendix B.4.
  ["32 zeros", Buffer.alloc(32), 0x8a9136aa],
  ["32 bytes of ones", Buffer.alloc(32, 0xff), 0x62a8ab43],
  ["0 to 31", counting, 0x46dd794e],
  ["31 to 0", Buffer.from(counting).reverse(), 0x113fdb5c],
  // The check value of the catalogue of parametrised CRC algorithms.
  ["the digits 1 to 9", Buffer.from("123456789"), 0xe3069283],
  ["nothing", Buffer.alloc(0), 0],
])("the checksum of %s is the published one", (_, data, checksum) => {
  expect(crc32c(data, 0, data.length)).toBe(checksum);
});

/** A bit at a time, as the polynomial defines it. */
function slowly(data: Uint8Array): number {
  let crc = -1;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

test("the checksum of any part of a buffer is that of its polynomial", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(20), fc.nat(20), (bytes, skip, leave) => {
      const start = Math.min(skip, bytes.length);
      const end = Math.max(start, bytes.length - leave);
      expect(crc32c(Buffer.from(bytes), start, end)).toBe(slowly(bytes.subarray(start, end)));
    }),
    { seed },
  );
});
