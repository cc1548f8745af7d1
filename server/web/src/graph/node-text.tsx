/** What stands in a node beside its name: its time, and how often it has run. */

import { type Say, useSay } from "../language";
import { useLive } from "./live";
import type { NodeActivity } from "./node-activity";
import { useTick } from "./use-activity";

export function seconds(milliseconds: number): string {
  const value = Math.max(0, milliseconds) / 1000;
  return value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0);
}

export function NodeText({ activity }: { activity: NodeActivity | undefined }) {
  const say = useSay();
  const { ahead } = useLive();
  const now = useTick(activity?.endedAt === null) - ahead;
  if (!activity) return null;
  const { condition, startedAt, endedAt, parallel, runs } = activity;
  return (
    <span className="graph-node-text">
      <span className="hidden">{say(CONDITIONS[condition])}</span>
      <span>{say("graphSeconds", { seconds: seconds((endedAt ?? now) - startedAt) })}</span>
      {parallel > 1 && <b>×{parallel}</b>}
      {runs > 1 && <span>{say("graphRuns", { count: runs })}</span>}
    </span>
  );
}

/** The same in one sentence. */
export function spoken(say: Say, name: string, activity: NodeActivity | undefined): string {
  if (!activity) return name;
  const { condition, startedAt, endedAt, parallel, runs } = activity;
  const parts = [name, say(CONDITIONS[condition])];
  if (endedAt !== null) parts.push(say("graphSeconds", { seconds: seconds(endedAt - startedAt) }));
  if (parallel > 1) parts.push(`×${parallel}`);
  if (runs > 1) parts.push(say("graphRuns", { count: runs }));
  return parts.join(", ");
}

export const CONDITIONS = {
  running: "graphRunning",
  done: "graphDone",
  failed: "graphFailed",
  waiting: "graphWaiting",
  stopped: "graphStopped",
} as const;
