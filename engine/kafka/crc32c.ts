/** CRC-32C (Castagnoli, RFC 3720 appendix B.4), eight bytes at a time ("slicing-by-8"). */

const slices = 8;
const tables = new Int32Array(256 * slices);

for (let byte = 0; byte < 256; byte++) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  tables[byte] = crc;
}
for (let slice = 1; slice < slices; slice++) {
  for (let byte = 0; byte < 256; byte++) {
    const previous = entry(slice - 1, byte);
    tables[slice * 256 + byte] = (previous >>> 8) ^ entry(0, previous & 0xff);
  }
}

function entry(slice: number, byte: number): number {
  return tables[slice * 256 + byte] as number;
}

/** The checksum of `data` from `start` to `end`, as an unsigned 32-bit number. */
export function crc32c(data: Buffer, start: number, end: number): number {
  let crc = -1;
  let at = start;
  for (; at + 8 <= end; at += 8) {
    const low = crc ^ data.readInt32LE(at);
    const high = data.readInt32LE(at + 4);
    crc =
      entry(7, low & 0xff) ^
      entry(6, (low >>> 8) & 0xff) ^
      entry(5, (low >>> 16) & 0xff) ^
      entry(4, low >>> 24) ^
      entry(3, high & 0xff) ^
      entry(2, (high >>> 8) & 0xff) ^
      entry(1, (high >>> 16) & 0xff) ^
      entry(0, high >>> 24);
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ entry(0, (crc ^ data.readUInt8(at)) & 0xff);
  return (crc ^ -1) >>> 0;
}
