/** What the nodes of a graph do in a run: a pure reducer over the events of a thread. */

import type { ProtocolEvent, TaskData } from "../protocol";
import { edgeId } from "./outline";
import { momentOf } from "./moment";

export type Condition = "running" | "done" | "failed" | "waiting" | "stopped";

export interface Task {
  id: string;
  path: string;
  /** Which graph it is of: the tasks around it, as the events name them. */
  namespace: string;
  condition: Condition;
  /** In ms since the epoch, by the service's clock. */
  startedAt: number;
  endedAt: number | null;
}

/** A node has started. `fresh` is false of what was over before the page heard of it. */
export interface Start {
  path: string;
  taskId: string;
  step: number;
  fresh: boolean;
}

/** One graph, or one call of a subgraph, on its way. */
interface Level {
  /** Tasks of the step under way, and the paths that led to it. */
  step: string[];
  from: string[];
  checkpointAt: number | null;
}

export interface Activity {
  /** When the run was asked for, by its id. */
  createdAt: number | null;
  running: boolean;
  failed: boolean;
  tasks: Readonly<Record<string, Task>>;
  /** In the order of the events. */
  starts: readonly Start[];
  /** How often each edge was taken, by its id. */
  taken: Readonly<Record<string, number>>;
  /** What the router said last: from which model to which. */
  fallback: { from: string; to: string | null; reason: string } | null;
  levels: Readonly<Record<string, Level>>;
}

export const idle: Activity = {
  ...{ createdAt: null, running: false, failed: false, tasks: {}, starts: [], taken: {}, fallback: null, levels: {} },
};

/** An event that is sent this much after its checkpoint is told again: it is not new. */
const REPLAYED = 1_000;

export function follow(activity: Activity, event: ProtocolEvent): Activity {
  const namespace = event.namespace.join("|");
  switch (event.method) {
    case "lifecycle":
      return namespace === "" ? lifecycle(activity, event) : activity;
    case "tasks":
      return "result" in event.data || "error" in event.data
        ? ended(activity, event.data, event.timestamp)
        : started(activity, event.data, event.namespace, event.timestamp);
    case "checkpoints":
      return stored(activity, namespace, momentOf(event.data.id), event.timestamp);
    case "custom":
      return said(activity, event.data.payload);
    default:
      return activity;
  }
}

type Lifecycle = Extract<ProtocolEvent, { method: "lifecycle" }>;

function lifecycle(activity: Activity, { data, run, timestamp: at }: Lifecycle): Activity {
  if (data.event === "running") return { ...idle, running: true, createdAt: run === null ? null : momentOf(run) };
  const failed = data.event === "failed";
  const rest: Condition = failed ? "failed" : "stopped";
  const tasks = change(activity.tasks, (task) =>
    task.condition === "running" ? { ...task, condition: rest, endedAt: at } : task,
  );
  return { ...activity, running: false, failed, tasks };
}

function started(activity: Activity, { id, name, triggers }: TaskData, around: string[], at: number): Activity {
  if (activity.tasks[id]) return activity;
  const namespace = around.join("|");
  const path = [...around.map(nodeOf), name].join(":");
  const before = activity.levels[namespace] ?? entrance(activity, around);
  // All tasks of a step start before one of them ends.
  const isNext = before.step.some((task) => activity.tasks[task]?.condition !== "running");
  const from = isNext ? before.step.flatMap((task) => exits(activity, task)) : before.from;
  const level = { ...before, step: isNext ? [id] : [...before.step, id], from: unique(from) };
  // A run that goes on from an old checkpoint is as new as the run.
  const since = Math.max(before.checkpointAt ?? 0, activity.createdAt ?? 0);
  const fresh = since === 0 || at - since <= REPLAYED;
  const startedAt = fresh ? at : since;
  const task: Task = { id, path, namespace, condition: "running", startedAt, endedAt: null };
  const step = (activity.starts.at(-1)?.step ?? 0) + (isNext || before.step.length === 0 ? 1 : 0);
  return {
    ...activity,
    tasks: { ...activity.tasks, [id]: task },
    starts: [...activity.starts, { path, taskId: id, step, fresh }],
    taken: taken(between(activity, before, isNext), sources(level.from, triggers, path), path),
    levels: { ...activity.levels, [namespace]: level },
  };
}

/** Where a graph begins: at its own start, and where its box was come to. */
function entrance({ tasks, levels }: Activity, around: string[]): Level {
  const box = around.map(nodeOf);
  const start = [...box, "__start__"].join(":");
  const task = around.at(-1)?.split(":")[1];
  const outer = task && tasks[task] ? levels[tasks[task].namespace] : undefined;
  return { step: [], from: [start, ...(outer?.from ?? [])], checkpointAt: null };
}

/** The edges into a box that is begun, or out of the boxes of the step before, where they are drawn. */
function between(activity: Activity, { step, from }: Level, isNext: boolean): Activity["taken"] {
  const [start, ...outside] = from;
  if (step.length === 0) return start === undefined ? activity.taken : taken(activity.taken, outside, start);
  return isNext ? step.reduce((counts, task) => leave(activity, task, counts), activity.taken) : activity.taken;
}

/** Count the edges to the end of a task's own graph, and of the graphs in it. */
export function leave(activity: Activity, taskId: string, counts: Activity["taken"]): Activity["taken"] {
  const task = activity.tasks[taskId];
  const inside = task ? stepInside(activity, task) : [];
  if (!task || !inside.length) return counts;
  const deeper = inside.reduce((next, each) => leave(activity, each, next), counts);
  return taken(deeper, inside.flatMap((each) => exits(activity, each)), endOf(task));
}

/** A task, and where its own graph ended: the edge that follows may be drawn from any of them. */
export function exits(activity: Activity, taskId: string): string[] {
  const task = activity.tasks[taskId];
  if (!task) return [];
  const inside = stepInside(activity, task);
  const end = inside.length ? [endOf(task)] : [];
  return [task.path, ...end, ...inside.flatMap((each) => exits(activity, each))];
}

const endOf = ({ path }: Task) => `${path}:__end__`;

/** The last step of a task's own graph, where it has one. */
function stepInside({ levels }: Activity, { id, path, namespace }: Task): string[] {
  const name = `${path.slice(path.lastIndexOf(":") + 1)}:${id}`;
  return levels[namespace ? `${namespace}|${name}` : name]?.step ?? [];
}

/** A join names the nodes that it has waited for, and they may have run in earlier steps. */
function sources(from: readonly string[], triggers: string[] | undefined, path: string): string[] {
  const joined = (triggers ?? []).flatMap((each) => /^join:(.+):[^:]+$/.exec(each)?.[1]?.split("+") ?? []);
  const box = path.slice(0, path.lastIndexOf(":") + 1);
  return unique([...from, ...joined.map((name) => box + name)]);
}

function taken(counts: Activity["taken"], from: readonly string[], path: string): Activity["taken"] {
  const next = { ...counts };
  for (const source of from) {
    const id = edgeId(source, path);
    next[id] = (next[id] ?? 0) + 1;
  }
  return next;
}

function ended(activity: Activity, data: TaskData, at: number): Activity {
  const task = activity.tasks[data.id];
  if (!task) return activity;
  const condition: Condition = data.error ? "failed" : data.interrupts?.length ? "waiting" : "done";
  return { ...activity, tasks: { ...activity.tasks, [data.id]: { ...task, condition, endedAt: at } } };
}

/**
 * A checkpoint says when its step was over. Events that are told again carry the time of the
 * telling: then the ends of the step's tasks are set right.
 */
function stored(activity: Activity, namespace: string, at: number | null, sentAt: number): Activity {
  const level = activity.levels[namespace] ?? entrance(activity, namespace ? namespace.split("|") : []);
  const levels = { ...activity.levels, [namespace]: { ...level, checkpointAt: at } };
  if (at === null || sentAt - at <= REPLAYED) return { ...activity, levels };
  const step = new Set(level.step);
  const tasks = change(activity.tasks, (task) =>
    step.has(task.id) && task.endedAt !== null ? { ...task, endedAt: Math.max(at, task.startedAt) } : task,
  );
  return { ...activity, tasks, levels };
}

function said(activity: Activity, payload: unknown): Activity {
  const { type, from, to, reason } = (payload ?? {}) as Record<string, unknown>;
  if (type !== "fallback" && type !== "retry") return activity;
  return { ...activity, fallback: { from: String(from), to: to ? String(to) : null, reason: String(reason) } };
}

const nodeOf = (segment: string) => segment.split(":")[0] ?? segment;
const unique = (paths: readonly string[]) => [...new Set(paths)];

function change(tasks: Activity["tasks"], how: (task: Task) => Task): Activity["tasks"] {
  return Object.fromEntries(Object.entries(tasks).map(([id, task]) => [id, how(task)]));
}
