/** What a client has written: the newest token of each aggregate, and which views are known to have it. */

/** Of so many aggregates, those that were written last. */
const mostAggregates = 1_000;

interface Write {
  readonly aggregateId: string;
  readonly token: string;
  readonly version: number;
  readonly seenIn: Set<string>;
}

export interface OwnWrites {
  /** An accepted command of an aggregate; an older version than is known changes nothing. */
  wrote(
    aggregate: string,
    write: { readonly aggregateId: string; readonly token: string; readonly version: number },
  ): void;
  /** The newest token of one aggregate; `null` where this client has not written it. */
  tokenOf(aggregate: string, aggregateId: string): string | null;
  /**
   * The tokens that a read of a view needs, the newest last: that one, and those that the view is not known to have
   * yet. Where `ids` name an aggregate that was written, those of the aggregates that they name. The newest is asked for
   * each time: after a failover, or by another server, a view may be older than it was.
   */
  neededFor(view: string, ids: readonly string[]): readonly string[];
  /** A read of the view with this token was answered. */
  saw(view: string, token: string): void;
  /** The server knows no such token: it is not sent again. */
  forget(token: string): void;
}

export function ownWrites(): OwnWrites {
  const writes = new Map<string, Write>();
  const nameOf = (aggregate: string, aggregateId: string) =>
    JSON.stringify([aggregate, aggregateId]);
  return {
    wrote(aggregate, { aggregateId, token, version }) {
      const name = nameOf(aggregate, aggregateId);
      const known = writes.get(name);
      if (known !== undefined && known.version >= version) return;
      writes.delete(name); // A Map keeps its order: the newest write goes to the end.
      writes.set(name, { aggregateId, token, version, seenIn: new Set() });
      const [oldest] = writes.keys();
      if (writes.size > mostAggregates && oldest !== undefined) writes.delete(oldest);
    },
    tokenOf: (aggregate, aggregateId) => writes.get(nameOf(aggregate, aggregateId))?.token ?? null,
    neededFor(view, ids) {
      const all = [...writes.values()];
      const named = all.filter(({ aggregateId }) => ids.includes(aggregateId));
      const of = named.length > 0 ? named : all;
      return of
        .filter(({ seenIn }, i) => i === of.length - 1 || !seenIn.has(view))
        .map(({ token }) => token);
    },
    saw(view, token) {
      for (const write of writes.values()) if (write.token === token) write.seenIn.add(view);
    },
    forget(token) {
      for (const [name, write] of writes) if (write.token === token) writes.delete(name);
    },
  };
}
