import { deadLetterHeaders } from "../../../engine/commands/dead-letter.ts";
import {
  answer,
  type Damage,
  insert,
  lose,
  pick,
  poisoned,
  refused,
  replace,
  repliesWhere,
  withHeader,
} from "./damage.ts";

/** Dead letters lost, doubled, changed, or of no poison. */
export const onDeadLetters: readonly Damage[] = [
  {
    what: "a dead letter is lost",
    breaks: "I10",
    apply: (it) => {
      lose(it, "dlq", pick(it, it.log.dlq));
    },
  },
  {
    what: "a dead letter is there twice",
    breaks: "I10",
    apply: (it) => {
      const record = pick(it, it.log.dlq);
      insert(it, "dlq", record, it.random() < 0.5 ? record : null);
    },
  },
  {
    what: "a dead letter has other bytes",
    breaks: "I10",
    apply: (it) => {
      replace(it, "dlq", pick(it, it.log.dlq), { value: Buffer.from("other") });
    },
  },
  {
    what: "a dead letter has another key",
    breaks: "I10",
    apply: (it) => {
      replace(it, "dlq", pick(it, it.log.dlq), { key: Buffer.from("other") });
    },
  },
  {
    what: "a dead letter has lost a header of its sender",
    breaks: "I10",
    apply: (it) => {
      const sent = it.log.dlq.filter(({ headers }) => headers.some(([name]) => name === "h"));
      const record = pick(it, sent);
      replace(it, "dlq", record, withHeader(record, "h", null));
    },
  },
  {
    what: "a dead letter has another code than its reply",
    breaks: "I10",
    apply: (it) => {
      const record = pick(it, it.log.dlq);
      replace(it, "dlq", record, withHeader(record, deadLetterHeaders.code, "TOO_DEEP"));
    },
  },
  {
    what: "a dead letter is of another offset",
    breaks: "I10",
    apply: (it) => {
      const record = pick(it, it.log.dlq);
      const { offset } = deadLetterHeaders;
      const before = Number(record.headers.find(([name]) => name === offset)?.[1]);
      replace(it, "dlq", record, withHeader(record, offset, String(before + 1)));
    },
  },
  {
    what: "a dead letter is of another topic",
    breaks: "I10",
    apply: (it) => {
      const record = pick(it, it.log.dlq);
      replace(it, "dlq", record, withHeader(record, deadLetterHeaders.topic, "other"));
    },
  },
  {
    what: "the reply to a dead letter says that it was rejected",
    breaks: "I10",
    apply: (it) => {
      const change = { outcome: "rejected", version: 1, aggregateId: "a", commandId: "x" } as const;
      answer(it, pick(it, repliesWhere(it, poisoned)), change);
    },
  },
  {
    what: "a good record was taken for poison",
    breaks: "I10",
    apply: (it) => {
      const change = { outcome: "failed", version: null, reason: "WRONG_PARTITION" } as const;
      answer(it, pick(it, repliesWhere(it, refused)), change);
    },
  },
];
