/** A table with a heading; columns that are `minor` give way where there is little room. */

import { type ReactNode, useId } from "react";

export interface ColumnOf<T> {
  name: string;
  cell: (row: T) => ReactNode;
  number?: boolean;
  minor?: boolean;
}

interface Props<T> {
  title: string;
  none: string;
  rows: T[];
  columns: ColumnOf<T>[];
  keyOf: (row: T) => string;
}

export function Table<T>({ title, none, rows, columns, keyOf }: Props<T>) {
  const id = useId();
  return (
    <section className="now-table">
      <h2 id={id}>{title}</h2>
      {rows.length === 0 ? <p className="faint">{none}</p> : (
        <table aria-labelledby={id}>
          <thead>
            <tr>{columns.map((column) => <th key={column.name} scope="col" className={classOf(column)}>{column.name}</th>)}</tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={keyOf(row)}>
                {columns.map((column) => <td key={column.name} className={classOf(column)}>{column.cell(row)}</td>)}
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

const classOf = ({ number, minor }: { number?: boolean; minor?: boolean }) =>
  [number && "number", minor && "minor"].filter(Boolean).join(" ") || undefined;
