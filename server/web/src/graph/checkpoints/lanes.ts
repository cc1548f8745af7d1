/** From a thread's checkpoints to the rows of their tree, as the log of a repository is drawn. */

import type { Checkpoint } from "./checkpoint";

export interface Row {
  checkpoint: Checkpoint;
  /** In which lane its dot lies. */
  lane: number;
  /** Lanes that pass by. */
  passing: number[];
  /** Lanes that come from newer checkpoints and end here: its branches. */
  joining: number[];
  /** Whether its parent is drawn below; a dotted line where it is not among the checkpoints. */
  below: "parent" | "unknown" | "nothing";
  /** Which branch ends here, counted from the newest; null where something follows. */
  branch: number | null;
  children: number;
}

export interface Tree {
  rows: Row[];
  lanes: number;
  branches: number;
}

/** Newest first; the newest checkpoint's branch is in the first lane. */
export function treeOf(checkpoints: Iterable<Checkpoint>): Tree {
  const sorted = [...checkpoints].sort(newestFirst);
  const known = new Set(sorted.map(({ id }) => id));
  const children = new Map<string, number>();
  for (const { parent } of sorted) if (parent) children.set(parent, (children.get(parent) ?? 0) + 1);
  const open: (string | null)[] = []; // by lane: which checkpoint the line from above leads to
  let branches = 0;
  let lanes = 1;
  const rows = sorted.map((checkpoint): Row => {
    const joining = lanesTo(open, checkpoint.id);
    const lane = joining[0] ?? free(open);
    for (const each of joining) open[each] = null;
    const passing = open.flatMap((target, index) => (target !== null && index !== lane ? [index] : []));
    const { parent } = checkpoint;
    const below = parent === null ? "nothing" : known.has(parent) ? "parent" : "unknown";
    open[lane] = below === "parent" ? parent : null;
    lanes = Math.max(lanes, open.length);
    const branch = joining.length === 0 ? (branches += 1) : null;
    return { checkpoint, lane, passing, joining, below, branch, children: children.get(checkpoint.id) ?? 0 };
  });
  return { rows, lanes, branches };
}

/** Ids are UUIDs of version 6: they sort by their time. */
function newestFirst(a: Checkpoint, b: Checkpoint): number {
  return a.id < b.id ? 1 : a.id > b.id ? -1 : 0;
}

const lanesTo = (open: (string | null)[], id: string) =>
  open.flatMap((target, index) => (target === id ? [index] : []));

function free(open: (string | null)[]): number {
  const found = open.indexOf(null);
  return found < 0 ? open.length : found;
}
