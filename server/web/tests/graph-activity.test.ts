import { describe, expect, it } from "vitest";

import { type Activity, follow, idle } from "../src/graph/activity";
import { countOf, nodesOf, withEnd } from "../src/graph/node-activity";
import { type ProtocolEvent, readEvent } from "../src/protocol";
import fallback from "./recorded/graph-fallback.jsonl?raw";
import interrupt from "./recorded/graph-interrupt.jsonl?raw";
import subgraphs from "./recorded/graph-subgraphs.jsonl?raw";
import tool from "./recorded/graph-tool.jsonl?raw";

/** What a real run has sent. */
const recorded = (lines: string): ProtocolEvent[] => lines.trim().split("\n").map(readEvent);

const run = (events: ProtocolEvent[], from: Activity = idle) => events.reduce(follow, from);
const order = ({ starts }: Activity) => starts.map(({ path }) => path);

/** The same events, as a client gets them that comes long after. */
const toldAgain = (events: ProtocolEvent[]) => events.map((event) => ({ ...event, timestamp: event.timestamp + 60_000 }));

describe("a run with a tool", () => {
  const events = recorded(tool);

  it("starts the nodes in the order of the events", () => {
    expect(order(run(events))).toEqual(["model", "tools", "model"]);
  });

  it("has a node run from its start to its result", () => {
    const seen = events.map((_, index) => nodesOf(run(events.slice(0, index + 1))).get("tools")?.condition);
    expect(seen.filter((each, index) => each !== seen[index - 1])).toEqual(["running", "done"]);
  });

  it("counts the runs of a node, and the edges that were taken", () => {
    const activity = run(events);
    expect(nodesOf(activity).get("model")?.runs).toBe(2);
    expect(activity.taken).toEqual({ "__start__>model": 1, "model>tools": 1, "tools>model": 1 });
    expect(withEnd(activity, false)["model>__end__"]).toBe(1);
    expect(withEnd(activity, true)["model>__end__"]).toBeUndefined();
  });

  it("takes the times from the checkpoints when the events are told again", () => {
    const [live, late] = [run(events), run(toldAgain(events))];
    expect(late.starts.some(({ fresh }) => fresh)).toBe(false);
    expect(live.starts.every(({ fresh }) => fresh)).toBe(true);
    for (const [path, { startedAt, endedAt }] of nodesOf(live)) {
      const same = nodesOf(late).get(path);
      expect(Math.abs((same?.startedAt ?? 0) - startedAt)).toBeLessThan(50);
      expect(Math.abs((same?.endedAt ?? 0) - (endedAt ?? 0))).toBeLessThan(50);
    }
  });

  it("begins anew with the next run", () => {
    const begin = events[0] as ProtocolEvent;
    const { createdAt, ...rest } = run([begin], run(events));
    expect({ ...rest, createdAt: null }).toEqual({ ...idle, running: true });
    expect(Math.abs((createdAt ?? 0) - begin.timestamp)).toBeLessThan(1_000);
  });

  it("takes what goes on from an old checkpoint for new", () => {
    const old = "1f1ebd84-9276-6d8f-bfff-d3dbed099f7e";
    const again = events.filter(({ data }) => (data as { name?: string }).name !== "model" || "result" in data);
    const checkpoint = events.find(({ method }) => method === "checkpoints") as ProtocolEvent;
    const resumed = [again[0], { ...checkpoint, data: { id: old, step: 1, source: "loop" } }, ...again.slice(1)];
    const [tools] = run(resumed.filter((event) => event !== checkpoint) as ProtocolEvent[]).starts;
    expect(tools).toMatchObject({ path: "tools", fresh: true });
  });

  it("does not change by what says nothing of nodes", () => {
    const activity = run(events);
    const other = { ...(events[0] as ProtocolEvent), method: "values", data: {} } as ProtocolEvent;
    expect(follow(activity, other)).toBe(activity);
  });

  it("stops what runs when the run is over, or has failed", () => {
    const half = run(events.slice(0, events.findIndex(({ method }) => method === "tasks") + 1));
    const end = { ...(events.at(-1) as ProtocolEvent) };
    expect(nodesOf(follow(half, end)).get("model")?.condition).toBe("stopped");
    const failed = { ...end, data: { event: "failed" } } as ProtocolEvent;
    expect(nodesOf(follow(half, failed)).get("model")?.condition).toBe("failed");
  });
});

describe("subgraphs and parallel tasks", () => {
  const activity = run(recorded(subgraphs));
  const round = ["plan", "search", "search", "search", "read", "write", "write:deep"];
  const inside = ["write:deep:draft", "write:deep:polish", "write:check", "review"];

  it("names nodes of subgraphs by their boxes", () => {
    expect(order(activity)).toEqual([...round, ...inside, ...round, ...inside]);
  });

  it("takes the tasks of a step together", () => {
    const search = nodesOf(activity).get("search");
    expect(search).toMatchObject({ parallel: 3, runs: 2, condition: "done" });
    const { startedAt = 0, endedAt = 0 } = search ?? {};
    expect((endedAt ?? 0) - startedAt).toBeGreaterThanOrEqual(480);
  });

  it("takes edges into a subgraph, inside it, and out of it", () => {
    const count = (...edges: string[]) => countOf({ id: edges[0] ?? "", edges }, activity.taken);
    expect(count("search>write:deep:draft")).toBe(2);
    expect(count("search>write", "search>write:deep:draft")).toBe(2);
    expect(count("write:deep:draft>write:deep:polish")).toBe(2);
    expect(count("write:deep:polish>write:check")).toBe(2);
    expect(count("write:check>review")).toBe(2);
    expect(count("plan>search")).toBe(6);
    expect(count("review>plan")).toBe(1);
    expect(withEnd(activity, false)["review>__end__"]).toBe(1);
  });

  it("takes edges to the start and the end of a subgraph, where they are drawn", () => {
    expect(activity.taken).toMatchObject({
      "search>write:__start__": 2,
      "write:check>write:__end__": 2,
      "write:deep:polish>write:deep:__end__": 2,
      "write:__end__>review": 2,
    });
  });

  it("ends in the end of a subgraph", () => {
    const events = recorded(subgraphs);
    const begins = (event: ProtocolEvent) => event.method === "tasks" && event.data.name === "review" && !("result" in event.data);
    const half = run([...events.slice(0, events.findIndex(begins)), ...events.slice(-1)]);
    expect(withEnd(half, false)).toMatchObject({ "write:check>write:__end__": 1, "write:__end__>__end__": 1 });
  });
});

describe("other ends", () => {
  it("shows what waits for an answer", () => {
    const activity = run(recorded(interrupt));
    expect(nodesOf(activity).get("asks")?.condition).toBe("waiting");
    expect(withEnd(activity, false)["asks>__end__"]).toBeUndefined();
  });

  it("follows a fallback through the router", () => {
    const activity = run(recorded(fallback));
    expect(order(activity)).toEqual(["model", "fallback_router", "model"]);
    expect(activity.fallback).toMatchObject({ from: "small", to: "good" });
    expect(activity.taken["fallback_router>model"]).toBe(1);
  });
});
