/** Which lines of a graph lead back: they close a cycle, and are drawn at the side. */

import type { Line } from "./outline";

type Edge = Pick<Line, "id" | "source" | "target">;

/**
 * The ids of the lines that lead back. A line leads back when its two ends lie on a cycle, and it
 * does not lead further away from the start. Without these lines a graph has no cycle.
 */
export function backward(edges: readonly Edge[], start: string): Set<string> {
  const next = neighbours(edges);
  const far = distances(next, edges, start);
  const order = [...far.keys()];
  const rank = new Map(order.map((path, index) => [path, [far.get(path) ?? 0, index] as const]));
  const back = new Set<string>();
  for (const { id, source, target } of edges) {
    if (source === target) back.add(id);
    else if (reaches(next, target, source) && !isFurther(rank.get(source), rank.get(target))) back.add(id);
  }
  return back;
}

function neighbours(edges: readonly Edge[]): Map<string, string[]> {
  const next = new Map<string, string[]>();
  for (const { source, target } of edges) next.set(source, [...(next.get(source) ?? []), target]);
  return next;
}

/** Steps from the start, nearest first; what cannot be reached comes last. */
function distances(next: Map<string, string[]>, edges: readonly Edge[], start: string) {
  const far = new Map([[start, 0]]);
  const waiting = [start];
  for (let path = waiting.shift(); path !== undefined; path = waiting.shift()) {
    for (const each of next.get(path) ?? []) {
      if (far.has(each)) continue;
      far.set(each, (far.get(path) ?? 0) + 1);
      waiting.push(each);
    }
  }
  for (const { source, target } of edges) {
    for (const each of [source, target]) if (!far.has(each)) far.set(each, edges.length);
  }
  return far;
}

function reaches(next: Map<string, string[]>, from: string, to: string): boolean {
  const seen = new Set([from]);
  const waiting = [from];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (path === to) return true;
    for (const each of next.get(path) ?? []) {
      if (!seen.has(each)) waiting.push(each);
      seen.add(each);
    }
  }
  return false;
}

type Rank = readonly [distance: number, index: number];

function isFurther(source: Rank = [0, 0], target: Rank = [0, 0]): boolean {
  return target[0] > source[0] || (target[0] === source[0] && target[1] > source[1]);
}
