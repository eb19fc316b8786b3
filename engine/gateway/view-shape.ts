/** A public view as Postgres has it: what its rows hold, and what they can be asked for by. */
export interface ViewShape {
  readonly name: string;
  /** The columns of its primary key, in order; their values follow the view's name in a row's address. */
  readonly key: readonly string[];
  readonly columns: readonly ViewColumn[];
}

export interface ViewColumn {
  readonly name: string;
  /** As Postgres names it: `text`, `bigint`, `timestamp with time zone`, `numeric(20,2)`. */
  readonly type: string;
  readonly nullable: boolean;
}
