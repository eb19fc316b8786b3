/** `--expected FILE.csv`: what must have come out, account by account, by somebody else's reckoning. */

export interface ExpectedAccount {
  readonly balanceCents: number;
  readonly version: number;
  /** How many commands were rejected, each counted once. */
  readonly rejected: number;
}

export type Expected = ReadonlyMap<string, ExpectedAccount>;

const columns = ["account_id", "balance_cents", "version", "rejected"] as const;

/**
 * Reads a file of the columns above, one account a line; an id with a comma or a quote stands in quotes.
 * @throws Error with the line and what is wrong with it
 */
export function parseExpected(text: string): Expected {
  const accounts = new Map<string, ExpectedAccount>();
  const [header, ...lines] = text.split(/\r?\n/);
  if (header !== columns.join(",")) {
    throw new Error(`line 1 is not the header ${columns.join(",")}`);
  }
  lines.forEach((line, i) => {
    if (line === "") return;
    const match = /^(?:"((?:[^"]|"")*)"|([^",]*)),(-?\d+),(\d+),(\d+)$/.exec(line);
    const [, quoted, plain, ...numbers] = match ?? [];
    const accountId = quoted?.replaceAll('""', '"') ?? plain ?? "";
    const [balanceCents = NaN, version = NaN, rejected = NaN] = numbers.map(Number);
    const isSound = [balanceCents, version, rejected].every((it) => Number.isSafeInteger(it));
    if (accountId === "" || !isSound) {
      throw new Error(`line ${i + 2} is not an account id and three whole numbers`);
    }
    if (accounts.has(accountId)) throw new Error(`line ${i + 2} names ${accountId} a second time`);
    accounts.set(accountId, { balanceCents, version, rejected });
  });
  return accounts;
}

export interface Difference {
  readonly accountId: string;
  readonly column: "account" | keyof ExpectedAccount;
  readonly expected: string;
  readonly found: string;
}

export interface Comparison {
  readonly accounts: number;
  readonly agreeing: number;
  /** Accounts in the log of which the file says nothing. */
  readonly others: number;
  /** Whether the rejections could not be counted, since retention has removed replies. */
  readonly isWithoutRejections: boolean;
  readonly differences: readonly Difference[];
}

const keptDifferences = 20;

/** Holds the log's accounts against the file, as they come. */
export class ExpectedComparison {
  private readonly expected: Expected;
  private readonly rejections = new Map<string, number>();
  private readonly agreed = new Set<string>();
  private readonly met = new Set<string>();
  private readonly differences: Difference[] = [];
  private others = 0;
  isWithoutRejections = false;

  constructor(expected: Expected) {
    this.expected = expected;
  }

  rejected(accountId: string): void {
    if (!this.expected.has(accountId)) return;
    this.rejections.set(accountId, (this.rejections.get(accountId) ?? 0) + 1);
  }

  account(
    accountId: string,
    found: { readonly balanceCents: number; readonly version: number },
  ): void {
    const expected = this.expected.get(accountId);
    if (expected === undefined) {
      this.others++;
      return;
    }
    this.met.add(accountId);
    const rejected = this.rejections.get(accountId) ?? 0;
    const all = { ...found, rejected: this.isWithoutRejections ? expected.rejected : rejected };
    const wrong = (["balanceCents", "version", "rejected"] as const).filter(
      (column) => all[column] !== expected[column],
    );
    if (wrong.length === 0) this.agreed.add(accountId);
    for (const column of wrong) {
      this.note({
        accountId,
        column,
        expected: String(expected[column]),
        found: String(all[column]),
      });
    }
  }

  result(): Comparison {
    for (const [accountId, { version }] of this.expected) {
      if (this.met.has(accountId)) continue;
      // Of an account without an event nothing but rejections can be told.
      if (version === 0) this.account(accountId, { balanceCents: 0, version: 0 });
      else {
        const expected = `version ${version}`;
        this.note({ accountId, column: "account", expected, found: "no event of it" });
      }
    }
    const { others, isWithoutRejections, differences } = this;
    const agreeing = this.agreed.size;
    return { accounts: this.expected.size, agreeing, others, isWithoutRejections, differences };
  }

  private note(difference: Difference): void {
    if (this.differences.length < keptDifferences) this.differences.push(difference);
  }
}
