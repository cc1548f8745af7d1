import { describe, expect, it } from "vitest";

import type { Activity, Start, Task } from "../src/graph/activity";
import { APART, type Glow, LEAST, glow, glowing, nextChange } from "../src/graph/glow";

const start = (path: string, step: number, fresh = true): Start => ({ path, taskId: `${path}${step}`, step, fresh });

function tasks(starts: Start[], running: string[] = []): Activity["tasks"] {
  const of = ({ path, taskId }: Start): [string, Task] => [
    taskId,
    { id: taskId, path, namespace: "", condition: running.includes(path) ? "running" : "done", startedAt: 0, endedAt: 1 },
  ];
  return Object.fromEntries(starts.map(of));
}

const none: Glow = new Map();

describe("glow", () => {
  it("shows a node of 20 ms for a while, and nodes in their order", () => {
    const starts = [start("model", 1), start("tools", 2), start("stop", 3)];
    const lights = glow(none, starts, tasks(starts), 1_000);
    expect([...lights.values()].map(({ from }) => from)).toEqual([1_000, 1_000 + APART, 1_000 + 2 * APART]);
    expect(glowing(lights, 1_000)).toEqual(new Set(["model"]));
    expect(glowing(lights, 1_000 + LEAST - 1)).toEqual(new Set(["model", "tools", "stop"]));
    expect(glowing(lights, 1_000 + LEAST)).toEqual(new Set(["tools", "stop"]));
    expect(nextChange(lights, 1_000)).toBe(1_000 + APART);
    expect(nextChange(lights, 9_000)).toBeNull();
  });

  it("glows as long as the node runs", () => {
    const starts = [start("model", 1)];
    const lights = glow(none, starts, tasks(starts, ["model"]), 0);
    expect(glowing(lights, 60_000)).toEqual(new Set(["model"]));
    const after = glow(lights, [], tasks(starts), 60_000);
    expect(glowing(after, 60_000)).toEqual(new Set());
  });

  it("shows parallel nodes together", () => {
    const starts = [start("a", 1), start("b", 1)];
    expect(glowing(glow(none, starts, tasks(starts), 5), 5)).toEqual(new Set(["a", "b"]));
  });

  it("does not glow for what was over before", () => {
    const starts = [start("a", 1, false), start("b", 2, false)];
    expect(glowing(glow(none, starts, tasks(starts, ["b"]), 5), 5)).toEqual(new Set(["b"]));
  });

  it("is never much later than the run", () => {
    const starts = Array.from({ length: 100 }, (_, index) => start(`n${index}`, index));
    const lights = glow(none, starts, tasks(starts), 0);
    expect(Math.max(...[...lights.values()].map(({ from }) => from))).toBeLessThanOrEqual(1_500);
  });
});
