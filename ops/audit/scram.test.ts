import { expect, test } from "vitest";
import { scram } from "./scram.ts";

const user = { username: "user", password: "pencil" };
const nonce = "rOprNGfwEbeRWgbNEkqO";
/** RFC 7677, section 3. */
const serverFirst =
  "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const serverLast = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

test("the conversation of the standard's example", () => {
  const conversation = scram("sha256", user, nonce);
  expect(conversation.first).toBe("n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
  expect(conversation.answer(serverFirst)).toBe(
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0," +
      "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
  );
  expect(conversation.isGenuine(serverLast)).toBe(true);
});

test("a server that does not know the password is not believed", () => {
  const conversation = scram("sha256", user, nonce);
  conversation.answer(serverFirst);
  expect(conversation.isGenuine(serverLast.replace("6r", "7r"))).toBe(false);
  expect(conversation.isGenuine("v=")).toBe(false);
  expect(conversation.isGenuine("e=other-error")).toBe(false);
});

test("a user's name may hold what separates fields", () => {
  expect(scram("sha512", { ...user, username: "a=b,c" }, "n").first).toBe("n,,n=a=3Db=2Cc,r=n");
});

test.each([
  ["another nonce", serverFirst.replace("rOpr", "sOpr")],
  ["our nonce alone", `r=${nonce},s=W22Z,i=4096`],
  ["no salt", serverFirst.replace(/s=[^,]*/, "s=")],
  ["too little work", serverFirst.replace("4096", "1")],
  ["work without end", serverFirst.replace("4096", "2000000000")],
  ["no number of rounds", serverFirst.replace("4096", "x")],
])("a server's first message with %s is refused", (_, message) => {
  expect(() => scram("sha256", user, nonce).answer(message)).toThrow(/SCRAM/);
});
