// What a table shows of a row.
import type { Snippet } from 'svelte';
import type { Cell } from './download';

export interface Column<Row> {
  key: string;
  title: string;
  /** A track of a CSS grid. */
  width?: string;
  /** For numbers. */
  right?: boolean;
  /** What is sorted by and saved as CSV. */
  value: (row: Row) => Cell;
  /** How the value is written, where it is not written as it is. */
  show?: (row: Row) => string;
  cell?: Snippet<[Row]>;
  /** It holds what may be done: nothing to sort by or to save. */
  acts?: boolean;
}
