import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { accountDecider, bankTopics } from "../../test/bank.ts";
import type { RecordType } from "../topic.ts";
import { openApi } from "./openapi.ts";
import { pagePolicy } from "./page-html.ts";
import { problemOfSlug, problemPage, referencePage } from "./pages.ts";
import { type ProblemCode, problemTable } from "./problem.ts";
import type { ViewShape } from "./view-shape.ts";

const topics = bankTopics("test");
const balances: ViewShape = {
  name: "balances",
  key: ["account_id"],
  columns: [
    { name: "account_id", type: "text", nullable: false },
    { name: "balance_cents", type: "bigint", nullable: false },
  ],
};

function pageOf(aggregateTopics = topics, title = "The bank"): string {
  const aggregates = [{ topics: aggregateTopics, decider: accountDecider }];
  return referencePage(openApi({ title, version: "1", aggregates, projections: [] }, [balances]));
}

const codes = Object.keys(problemTable) as readonly ProblemCode[];
const pages = [pageOf(), ...codes.map(problemPage)];

test("a page needs nothing from elsewhere, and what it runs and looks like is in its policy", () => {
  for (const page of pages) {
    expect(page).toMatch(/^<!doctype html>\n<html lang="en">/);
    expect(page).not.toMatch(/<script|<link|<img|<iframe|\son\w+=|\sstyle=|@import|url\(/i);
    expect(page).not.toMatch(/(?:src|href)="(?!\/|#)/);
    const [, style = ""] = /<style>([^]*?)<\/style>/.exec(page) ?? [];
    const hash = createHash("sha256").update(style).digest("base64");
    expect(pagePolicy).toContain(`style-src 'sha256-${hash}'`);
  }
  expect(pagePolicy).toContain("default-src 'none'");
});

test("every tag that a page opens it closes, in order", () => {
  const empty = new Set(["meta", "!doctype"]);
  for (const page of pages) {
    const open: string[] = [];
    for (const [, slash, name = ""] of page.matchAll(/<(\/?)(!?[a-z][a-z0-9]*)[^>]*>/g)) {
      if (slash === "") {
        if (!empty.has(name)) open.push(name);
      } else expect(open.pop()).toBe(name);
    }
    expect(open).toStrictEqual([]);
  }
});

test("links within a page lead to a part of it, each with a name of its own", () => {
  const page = pageOf();
  const ids = [...page.matchAll(/\sid="([^"]*)"/g)].map(([, id]) => id);
  expect(new Set(ids).size).toBe(ids.length);
  for (const [, target] of page.matchAll(/href="#([^"]*)"/g)) expect(ids).toContain(target);
});

test("the page has each command with a line to try, its fields and its answers", () => {
  const page = pageOf();
  expect(page).toContain("/commands/OpenAccount&#34; \\\n  -H &#39;Content-Type:");
  expect(page).toContain("-d &#39;{&#34;accountId&#34;:&#34;account-1&#34;,&#34;owner&#34;");
  expect(page).toContain("Whose account it is.");
  expect(page).toContain('<a href="/problems/version-conflict">VERSION_CONFLICT</a>');
  expect(page).toContain("$FOLDLOG_API_URL/views/balances/account-1&#34;");
  expect(page).toContain("$FOLDLOG_API_URL/aggregates/account/account-1/events&#34;");
});

test("a column is one row of a list's parameters, with the ways to compare it by", () => {
  const [, list = ""] = /id="listBalancesRows">([^]*?)<\/section>/.exec(pageOf()) ?? [];
  expect(list.match(/<code>balance_cents<\/code>\s*<\/td>/g)?.length).toBe(1);
  expect(list).toContain("<code>balance_cents.gte</code>");
});

test("a page says for each event what it holds", () => {
  const page = pageOf();
  expect(page).toContain("<summary>FundsDeposited</summary>");
  expect(page).toContain("<code>data.amountCents</code>");
});

test("what authors write is text to a page, however it looks", () => {
  const evil = `</style><script>alert('"1"')</script>&amp;`;
  const schema = {
    type: "record",
    name: "OpenAccount",
    namespace: "bank.account",
    doc: evil,
    fields: [
      { name: "commandId", type: "string" },
      { name: "accountId", type: "string", doc: evil },
    ],
  };
  const versions: RecordType["versions"] = [{ version: 1, fingerprint: "", schema }];
  const record: RecordType = { name: evil, fullName: "bank.account.OpenAccount", versions };
  const page = pageOf({ ...topics, commands: { ...topics.commands, records: [record] } }, evil);
  expect(page).not.toContain("<script");
  expect(page.match(/<\/style>/g)?.length).toBe(1);
  expect(page).toContain("&#60;/style&#62;&#60;script&#62;alert(&#39;&#34;1&#34;&#39;)");
  expect(page).toContain("&#38;amp;");
});

test("a line to try takes a quote in an example to the shell and through it", () => {
  const document = {
    tags: [{ name: "commands" }],
    paths: {
      "/commands/Say": {
        post: {
          tags: ["commands"],
          requestBody: {
            content: { "application/json": { examples: { one: { value: { text: "it's" } } } } },
          },
        },
      },
    },
  };
  expect(referencePage(document)).toContain(
    `-d &#39;{&#34;text&#34;:&#34;it&#39;\\&#39;&#39;s&#34;}&#39;`,
  );
});

test("a schema that holds itself has an end on the page", () => {
  const box = {
    type: "record",
    name: "Box",
    fields: [{ name: "boxes", type: { type: "array", items: "Box" }, default: [] }],
  };
  const schema = {
    type: "record",
    name: "OpenAccount",
    namespace: "bank.account",
    fields: [
      { name: "commandId", type: "string" },
      { name: "box", type: box },
    ],
  };
  const versions: RecordType["versions"] = [{ version: 1, fingerprint: "", schema }];
  const record: RecordType = {
    name: "OpenAccount",
    fullName: "bank.account.OpenAccount",
    versions,
  };
  const page = pageOf({ ...topics, commands: { ...topics.commands, records: [record] } });
  expect(page).toContain("<code>box.boxes[].boxes</code>");
});

test("each kind of problem has a page that says why and what to do, at the address of its type", () => {
  for (const code of codes) {
    const page = problemPage(code);
    expect(page).toContain(problemTable[code].title.replaceAll("'", "&#39;"));
    expect(page).toMatch(/<h2>Why<\/h2>\s*<p>[^]{40}/);
    expect(page).toMatch(/<ol>\s*<li>[^]{20}/);
    expect(problemOfSlug(code.toLowerCase().replaceAll("_", "-"))).toBe(code);
  }
  expect(problemOfSlug("constructor")).toBe(null);
  expect(problemOfSlug("REJECTED")).toBe(null);
});
