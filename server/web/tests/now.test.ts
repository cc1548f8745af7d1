import { describe, expect, it } from "vitest";

import { put, readNews, type Seen, take } from "../src/now/state";
import type { Figures, Lines, Model, Now, Process, Tick, Turn } from "../src/now/shape";

const figures = (running: number): Figures => ({
  turns_per_second: 0.1, turns: 6, failed: 1, first_token_p50: 0.4, first_token_p95: 1, seconds_p50: 2,
  seconds_p95: 4, tokens: 900, cost: 0.01, tokens_today: 1200, cost_today: 0.02, running, waiting: 0,
  background_waiting: 0,
});

const lines = (...time: number[]): Lines => {
  const column = time.map((_, place) => place);
  return {
    time, turns_per_second: column, first_token_p50: column, first_token_p95: column, seconds_p50: column,
    seconds_p95: column, tokens: column, cost: column, running: column, waiting: column,
  };
};

const model = (name: string, retry_after: number | null): Model => ({
  name, circuit: retry_after === null ? "closed" : "open", retry_after, latency: 0.3, failing: 0.5, calls: 4,
  failures: { timeout: 2 }, tokens: 100, cost: 0.001,
});

const process: Process = {
  id: "p1", name: "box:1", answers: true, heartbeat_age: 0.4, alive: true, started_at: 1, memory: 1e8,
  loop_lag: 0.001, figures: figures(1), lines: lines(0, 10, 20),
};

const turn = (run_id: string): Turn => ({
  run_id, thread_id: "t", graph: "agent", endpoint: "/runs", model: "a", status: "success", error: null,
  first_token: 0.2, seconds: 1, tokens: 10, cost: 0.001, failed_cost: null, attempts: 1, fallbacks: 0,
  ended_at: 5, process: "box:1",
});

const now: Now = {
  at: 21, window: 900, step: 10, figures: figures(1), lines: lines(0, 10, 20),
  models: [model("a", 12), model("b", null)],
  breakers: [{ subject: "a", state: "open", retry_after: 12 }],
  tools: [], processes: [process], turns: [turn("r1")],
};

const tick = (more: Partial<Tick> = {}): Tick => {
  const { lines: _, ...state } = process;
  const points = [{ time: 20, running: 7, tokens: 5 }];
  return { at: 22, figures: figures(2), points, processes: [{ ...state, points }], turns: [], ...more };
};

const begun = () => take(null, { event: "now", data: now }, 1_000) as Seen;
const then = (more?: Partial<Tick>) => take(begun(), { event: "tick", data: tick(more) }, 5_000) as Seen;

describe("what is read", () => {
  it("knows its two events, and passes over others", () => {
    const frame = (event: string) => ({ event, data: JSON.stringify(now), id: null });
    expect(readNews(frame("now"))).toEqual({ event: "now", data: now });
    expect(readNews(frame("tick"))?.event).toBe("tick");
    expect(readNews(frame("error"))).toBeNull();
  });
});

describe("take", () => {
  it("waits for the whole before it takes a second", () => {
    expect(take(null, { event: "tick", data: tick() }, 0)).toBeNull();
  });

  it("says by this clock when a model is asked again", () => {
    expect(begun().models.map(({ again }) => again)).toEqual([13_000, null]);
    expect(begun().breakers[0]?.again).toBe(13_000);
  });

  it("keeps a countdown as it is until there is another", () => {
    expect(then().models[0]?.again).toBe(13_000);
    expect(then({ models: [model("a", 30)] }).models.map(({ again }) => again)).toEqual([35_000]);
  });

  it("replaces the figures, and leaves what is absent", () => {
    const seen = then();
    expect([seen.at, seen.figures.running, seen.tools]).toEqual([22, 2, []]);
    const tool = { name: "calculator", calls: 1, failures: {}, cache_hits: 0, seconds_p95: 0.1 };
    expect(then({ tools: [tool] }).tools).toEqual([tool]);
  });

  it("puts points into the lines of all, and of each process", () => {
    const seen = then();
    for (const each of [seen.lines, seen.processes[0]?.lines]) {
      expect(each?.time).toEqual([0, 10, 20]);
      expect(each?.running).toEqual([0, 1, 7]);
    }
  });

  it("leaves the state that it was given alone", () => {
    const before = begun();
    const copy = structuredClone(before);
    take(before, { event: "tick", data: tick({ turns: [turn("r2")] }) }, 9_000);
    expect(before).toEqual(copy);
  });

  it("shows 50 turns, newest first, each once", () => {
    const fresh = Array.from({ length: 60 }, (_, number) => turn(`n${number}`));
    expect(then({ turns: [turn("r2")] }).turns.map(({ run_id }) => run_id)).toEqual(["r2", "r1"]);
    expect(then({ turns: [turn("r1")] }).turns).toHaveLength(1);
    expect(then({ turns: fresh }).turns.at(-1)?.run_id).toBe("n49");
  });

  it("begins anew with another whole", () => {
    const again = take(then(), { event: "now", data: { ...now, turns: [] } }, 9_000);
    expect(again?.turns).toEqual([]);
    expect(again?.figures.running).toBe(1);
  });
});

describe("put", () => {
  it("appends a new step, and drops the oldest", () => {
    const next = put(lines(0, 10, 20), { time: 30, running: 9 });
    expect(next.time).toEqual([10, 20, 30]);
    expect(next.running).toEqual([1, 2, 9]);
    expect(next.first_token_p50).toEqual([1, 2, null]);
  });

  it("replaces a step that is there, and passes over one from before", () => {
    expect(put(lines(0, 10, 20), { time: 10, running: 9 }).running).toEqual([0, 9, 2]);
    const known = lines(10, 20, 30);
    expect(put(known, { time: 0, running: 9 })).toBe(known);
  });
});
