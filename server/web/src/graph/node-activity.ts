/** From the tasks of a run to what stands in a node. */

import { type Activity, type Condition, type Task, exits, leave } from "./activity";
import { type Line, edgeId } from "./outline";

export interface NodeActivity {
  condition: Condition;
  /** How often it has run. */
  runs: number;
  /** How many of its tasks belong together: those of the newest step. */
  parallel: number;
  startedAt: number;
  endedAt: number | null;
}

/** By the paths of the nodes. */
export function nodesOf({ tasks }: Activity): Map<string, NodeActivity> {
  const groups = new Map<string, Task[]>();
  for (const task of Object.values(tasks)) {
    const group = groups.get(task.path);
    if (group) group.push(task);
    else groups.set(task.path, [task]);
  }
  return new Map([...groups].map(([path, group]) => [path, together(group)]));
}

const WORST: Condition[] = ["failed", "waiting", "running", "stopped", "done"];

/** Tasks that overlap belong together. */
function together(tasks: Task[]): NodeActivity {
  let newest: Task[] = [];
  let runs = 0;
  for (const task of tasks) {
    const overlaps = newest.some(({ endedAt }) => endedAt === null || endedAt > task.startedAt);
    const isTogether = overlaps || newest.some(({ startedAt }) => startedAt === task.startedAt);
    if (!isTogether) runs += 1;
    newest = isTogether ? [...newest, task] : [task];
  }
  const conditions = newest.map(({ condition }) => condition);
  const open = newest.some(({ endedAt }) => endedAt === null);
  return {
    condition: open ? "running" : (WORST.find((each) => conditions.includes(each)) ?? "done"),
    runs,
    parallel: newest.length,
    startedAt: Math.min(...newest.map(({ startedAt }) => startedAt)),
    endedAt: open ? null : Math.max(...newest.map(({ endedAt }) => endedAt ?? 0)),
  };
}

/** How often a line was taken, whether it is seen as a whole or stands for edges of a folded box. */
export function countOf({ id, edges }: Pick<Line, "id" | "edges">, taken: Activity["taken"]): number {
  return Math.max(taken[id] ?? 0, ...edges.map((edge) => taken[edge] ?? 0));
}

/** The edges to the end, which no task tells of: taken when the run is over, and nothing waits. */
export function withEnd(activity: Activity, waits: boolean): Activity["taken"] {
  const root = activity.levels[""];
  if (activity.running || activity.failed || waits || !root) return activity.taken;
  const last = root.step.filter((id) => activity.tasks[id]?.condition === "done");
  const left = last.reduce((counts, id) => leave(activity, id, counts), activity.taken);
  const ends = new Set(last.flatMap((id) => exits(activity, id)));
  return { ...left, ...Object.fromEntries([...ends].map((path) => [edgeId(path, "__end__"), 1])) };
}
