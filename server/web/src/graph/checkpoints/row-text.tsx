/** What a row of the tree says: who has made the checkpoint, its step and time, and its branch. */

import { type Say, useSay } from "../../language";
import { type Checkpoint, madeBy } from "./checkpoint";
import type { Row, Tree } from "./lanes";

const SOURCES = { input: "graphInput", update: "graphEdited", fork: "graphForked" } as const;

export function nameOf(say: Say, checkpoint: Checkpoint): string {
  if (checkpoint.source in SOURCES) return say(SOURCES[checkpoint.source as keyof typeof SOURCES]);
  const made = madeBy(checkpoint);
  return made.length ? made.join(", ") : say("graphBegun");
}

export function timeOf(at: number | null, language: string): string {
  if (at === null) return "";
  return new Date(at).toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
}

export function RowText({ row, tree }: { row: Row; tree: Tree }) {
  const say = useSay();
  const { checkpoint, branch, children } = row;
  return (
    <>
      <span className="tree-name">{nameOf(say, checkpoint)}</span>
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
