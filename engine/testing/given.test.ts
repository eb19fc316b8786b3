import { expect, test } from "vitest";
import { accept, type Decider, reject } from "../decider.ts";
import { given } from "./given.ts";

interface Tick {
  readonly type: "Tick";
  readonly data: { readonly by: number };
}
interface Ticked {
  readonly type: "Ticked";
  readonly data: { readonly by: number };
}
const tick = (by: number): Tick => ({ type: "Tick", data: { by } });
const ticked = (by: number): Ticked => ({ type: "Ticked", data: { by } });
const counter: Decider<{ count: number }, Tick, Ticked, "Enough"> = {
  initialState: { count: 0 },
  foldVersion: 1,
  decide: ({ data }, { count }) =>
    count + data.by > 3 ? reject("Enough") : accept(ticked(data.by)),
  evolve: ({ count }, { data }) => ({ count: count + data.by }),
};

test("what is as expected passes", () => {
  given(counter, ticked(1), ticked(1)).when(tick(1)).accepts(ticked(1));
  given(counter, ticked(3)).when(tick(1)).rejects("Enough");
});

test("another event, another reason, or the other answer fails with both in words", () => {
  expect(() => {
    given(counter).when(tick(1)).accepts(ticked(2));
  }).toThrow(
    [
      'It accepted\n  Ticked {"by":1}',
      'and should have accepted\n  Ticked {"by":2}',
      "at .events[0].data.by\n  expected 2\n  found    1",
    ].join("\n"),
  );
  expect(() => {
    given(counter).when(tick(1)).rejects("Enough");
  }).toThrow('It accepted\n  Ticked {"by":1}\nand should have rejected Enough');
  expect(() => {
    given(counter).when(tick(4)).accepts(ticked(4));
  }).toThrow("It rejected Enough\nand should have accepted");
  expect(() => {
    given(counter).when(tick(1)).accepts(ticked(1), ticked(1));
  }).toThrow("at .events[1]");
});

test("a field that is undefined is one that is not there, as in the log", () => {
  const event = { type: "Ticked", data: { by: 1, note: undefined } } as const;
  given(counter).when(tick(1)).accepts(event);
});

test("bytes, which cannot be frozen, may be given", () => {
  const bytes = { type: "Ticked", data: { by: 1, raw: Buffer.from("raw") } } as const;
  given(counter, bytes).when(tick(1)).accepts(ticked(1));
});

test("a fold that changes its state in place is caught", () => {
  const careless = {
    ...counter,
    evolve: (state: { count: number }, { data }: Ticked) => {
      state.count += data.by;
      return state;
    },
  };
  expect(() => given(careless, ticked(1)).when(tick(1))).toThrow(TypeError);
});

test("a decision that is not the same twice is caught", () => {
  let calls = 0;
  const fickle = { ...counter, decide: () => accept(ticked(calls++)) };
  expect(() => given(fickle).when(tick(1))).toThrow(
    /^It accepted\n {2}Ticked \{"by":0\}\nand, asked again, it accepted\n {2}Ticked \{"by":1\}/,
  );
});
