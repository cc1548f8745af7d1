/** The tree of checkpoints as a list. Only the rows that can be seen are drawn. */

import { type KeyboardEvent, useEffect, useRef, useState } from "react";

import { useSay } from "../../language";
import { LaneDrawing, ROW } from "./lane-drawing";
import type { Tree } from "./lanes";
import { RowText } from "./row-text";
import type { History } from "./use-history";

interface Props {
  history: History;
  tree: Tree;
  selected: string | null;
  compared: string | null;
  select: (id: string) => void;
}

const BEYOND = 8; // rows drawn above and below what is seen
const NEAR = 12; // rows before the end at which older ones are asked for

export function CheckpointList({ history, tree, selected, compared, select }: Props) {
  const say = useSay();
  const list = useRef<HTMLDivElement>(null);
  const [{ top, height }, setSeen] = useState({ top: 0, height: 400 });
  const { rows, lanes } = tree;
  const first = Math.max(0, Math.floor(top / ROW) - BEYOND);
  const last = Math.min(rows.length, Math.ceil((top + height) / ROW) + BEYOND);
  const at = rows.findIndex(({ checkpoint }) => checkpoint.id === selected);

  useEffect(() => {
    const element = list.current;
    if (!element) return;
    const look = () => setSeen({ top: element.scrollTop, height: element.clientHeight });
    const sizes = new ResizeObserver(look);
    sizes.observe(element);
    element.addEventListener("scroll", look, { passive: true });
    return () => (sizes.disconnect(), element.removeEventListener("scroll", look));
  }, []);

  const { more, loading, older } = history;
  useEffect(() => {
    if (more && !loading && last > rows.length - NEAR) older();
  }, [more, loading, older, last, rows.length]);

  const go = (index: number) => {
    const row = rows[Math.max(0, Math.min(rows.length - 1, index))];
    if (row) select(row.checkpoint.id);
  };
  const move = (event: KeyboardEvent) => {
    const by: Record<string, number> = { ArrowDown: at + 1, ArrowUp: Math.max(0, at - 1), Home: 0, End: rows.length - 1, PageDown: at + 10, PageUp: at - 10 };
    const to = by[event.key];
    if (to === undefined) return;
    event.preventDefault();
    go(to);
  };
  // What is selected by the keyboard is brought into sight.
  useEffect(() => {
    const element = list.current;
    if (!element || at < 0) return;
    if (at * ROW < element.scrollTop) element.scrollTop = at * ROW;
    else if ((at + 1) * ROW > element.scrollTop + element.clientHeight) element.scrollTop = (at + 1) * ROW - element.clientHeight;
  }, [at]);

  return (
    <div
      ref={list}
      className="tree"
      role="listbox"
      tabIndex={0}
      aria-label={say("graphCheckpoints")}
      aria-activedescendant={at >= first && at < last ? `checkpoint-${selected}` : undefined}
      onKeyDown={move}
    >
      <div role="presentation" style={{ height: rows.length * ROW }}>
        {rows.slice(first, last).map((row, index) => {
          const { id } = row.checkpoint;
          return (
            <div
              key={id}
              id={`checkpoint-${id}`}
              className={`tree-row${id === compared ? " compared" : ""}`}
              role="option"
              aria-selected={id === selected}
              aria-setsize={rows.length}
              aria-posinset={first + index + 1}
              style={{ top: (first + index) * ROW }}
              onClick={() => select(id)}
            >
              <LaneDrawing row={row} lanes={lanes} />
              <RowText row={row} tree={tree} />
            </div>
          );
        })}
      </div>
    </div>
  );
}
