/** When nodes are seen to glow: from their start to their result, and long enough to be seen. */

import type { Activity, Start } from "./activity";

/** What glows, by path: from when, and until when; null while it runs. In ms of the reader's clock. */
export type Glow = ReadonlyMap<string, { from: number; until: number | null; taskIds: readonly string[] }>;

export const LEAST = 400;
/** Between two steps, so that their order is seen. */
export const APART = 150;
/** The picture may be this late. */
const LATEST = 1_500;

/** Take up what has started and ended. `starts` are those that came since the last time. */
export function glow(before: Glow, starts: readonly Start[], tasks: Activity["tasks"], now: number): Glow {
  const next = new Map(before);
  let shown = Math.max(-Infinity, ...[...before.values()].map(({ from }) => from));
  let step: number | null = null;
  for (const start of starts) {
    if (!start.fresh && tasks[start.taskId]?.condition !== "running") continue;
    if (start.step !== step) shown = Math.min(Math.max(now, shown + APART), now + LATEST);
    step = start.step;
    const known = next.get(start.path);
    const goesOn = known && (known.until === null || known.until > shown);
    const from = goesOn ? known.from : shown;
    const taskIds = [...(goesOn ? known.taskIds : []), start.taskId];
    next.set(start.path, { from, until: null, taskIds });
  }
  for (const [path, light] of next) {
    if (light.until !== null) continue;
    const runs = light.taskIds.some((id) => tasks[id]?.condition === "running");
    if (!runs) next.set(path, { ...light, until: Math.max(light.from + LEAST, now) });
  }
  return next;
}

/** The paths that glow now. */
export const glowing = (glow: Glow, now: number): Set<string> =>
  new Set([...glow].filter(([, { from, until }]) => from <= now && (until === null || now < until)).map(([path]) => path));

/** The next moment at which another node glows, or one no more. */
export function nextChange(glow: Glow, now: number): number | null {
  const moments = [...glow.values()].flatMap(({ from, until }) => [from, until]);
  const later = moments.filter((moment) => moment !== null).filter((moment) => moment > now);
  return later.length ? Math.min(...later) : null;
}
