/** What a row of the tree says: who has made the checkpoint, its step and time, and its branch. */

import { type Say, useSay } from "../../language";
import { type Checkpoint, madeBy } from "./checkpoint";
import type { Row, Tree } from "./lanes";

const SOURCES = { input: "graphInput", update: "graphEdited", fork: "graphForked" } as const;

export function nameOf(say: Say, checkpoint: Checkpoint, all: ReadonlyMap<string, Checkpoint>): string {
  if (checkpoint.source in SOURCES) return say(SOURCES[checkpoint.source as keyof typeof SOURCES]);
  const made = madeBy(checkpoint, all);
  return made.length ? shortened(made).join(", ") : say("graphBegun");
}

/** Nodes that ran several times in a step are named once. */
function shortened(names: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([name, count]) => (count > 1 ? `${name} ×${count}` : name));
}

export function timeOf(at: number | null, language: string): string {
  if (at === null) return "";
  return new Date(at).toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
}

export function RowText({ row, all, tree }: { row: Row; all: ReadonlyMap<string, Checkpoint>; tree: Tree }) {
  const say = useSay();
  const { checkpoint, branch, children } = row;
  return (
    <>
      <span className="tree-name">{nameOf(say, checkpoint, all)}</span>
      {branch !== null && tree.branches > 1 && (
        <span className={`tree-branch${branch === 1 ? " current" : ""}`}>
          {branch === 1 ? say("graphCurrent") : say("graphBranch", { number: branch })}
        </span>
      )}
      {children > 1 && <span className="tree-fork">{say("graphFork", { count: children })}</span>}
      <span className="tree-step">{say("graphStep", { step: checkpoint.step })}</span>
      <time className="tree-time">{timeOf(checkpoint.at, document.documentElement.lang)}</time>
    </>
  );
}
