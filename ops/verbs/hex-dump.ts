/** Bytes as people look at them: offset, hex and ASCII, 16 a line, no more than `maxBytes`. */
export function hexDump(bytes: Buffer, maxBytes: number): readonly string[] {
  const lines: string[] = [];
  for (let at = 0; at < Math.min(bytes.length, maxBytes); at += 16) {
    const row = bytes.subarray(at, Math.min(at + 16, maxBytes));
    const hex = [...row].map((byte) => byte.toString(16).padStart(2, "0"));
    const halves = [hex.slice(0, 8).join(" "), hex.slice(8).join(" ")].join("  ").padEnd(48);
    const text = [...row].map((byte) =>
      byte >= 32 && byte < 127 ? String.fromCharCode(byte) : ".",
    );
    lines.push(`${at.toString(16).padStart(8, "0")}  ${halves}  |${text.join("")}|`);
  }
  return lines;
}
