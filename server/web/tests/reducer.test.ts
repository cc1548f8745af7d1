import { describe, expect, it } from "vitest";

import type { ProtocolEvent } from "../src/protocol";
import { type Entry, type MessageEntry, entriesOf } from "../src/thread/entries";
import { opened, reduce, reduceAll } from "../src/thread/reducer";
import { EMPTY, type ThreadState } from "../src/thread/state";
import { recorded } from "./recorded";

const NAMES = ["tool", "death", "timeout", "offline", "cancelled", "interrupt", "killed"];

const played = (name: string): ThreadState => reduceAll(EMPTY, recorded(name));
const entries = (name: string): Entry[] => entriesOf(played(name));
const messages = (list: Entry[]) => list.filter((entry): entry is MessageEntry => entry.kind === "message");
const kinds = (list: Entry[]) => list.map((entry) => (entry.kind === "message" ? entry.drawn.role : entry.kind));

/** The states after each event. */
const states = (events: ProtocolEvent[]) => {
  let state = EMPTY;
  return events.map((event) => (state = reduce(state, event)));
};

describe("every recorded stream", () => {
  it.each(NAMES)("%s: live, in pieces, and told again it comes to the same", (name) => {
    const events = recorded(name);
    const whole = played(name);
    expect(states(events).at(-1)).toEqual(whole);
    for (const cut of [1, 7, Math.floor(events.length / 2), events.length - 1]) {
      expect(reduceAll(reduceAll(EMPTY, events.slice(0, cut)), events.slice(cut))).toEqual(whole);
    }
  });

  it.each(NAMES)("%s: nothing is open or busy at its end", (name) => {
    const state = played(name);
    expect(state.phase).not.toBe("busy");
    expect(state.run?.ended).toBeGreaterThan(state.run?.started ?? Infinity);
    expect(state.extras.filter((extra) => extra.kind === "streamed" && !extra.done)).toEqual([]);
  });

  it.each(NAMES)("%s: each message is drawn once, at every moment", (name) => {
    for (const state of states(recorded(name))) {
      const keys = entriesOf(state).map((entry) => entry.key);
      expect(new Set(keys).size).toBe(keys.length);
    }
  });

  it.each(NAMES)("%s: what is reopened from the stored state shows the same messages", (name) => {
    const state = played(name);
    const stored = { values: { messages: state.stored }, interrupts: state.interrupts };
    const again = opened(EMPTY, stored, "idle");
    const texts = (of: ThreadState) => messages(entriesOf(of)).map(({ drawn }) => [drawn.role, drawn.text]);
    expect(texts(again)).toEqual(texts(state));
  });
});

describe("words", () => {
  it("come one by one, and are the same message when it is stored", () => {
    const texts = states(recorded("death")).map((state) => messages(entriesOf(state)).at(-1)?.drawn);
    const answers = texts.filter((drawn) => drawn?.id === "lc_run--9562be37-b18d-4d3a-bc49-fa55ba2c884b");
    const grown = answers.map((drawn) => drawn?.text ?? "");
    expect(grown.slice(0, 5)).toEqual(["", "", "Paris", "Paris is", "Paris is the"]);
    expect(grown.at(-1)).toBe("Paris is the capital of France. It lies on the Seine.");
    expect(answers.map((drawn) => drawn?.stored)).toContain(false);
    expect(answers.at(-1)?.stored).toBe(true);
  });

  it("keep their objects where nothing has changed", () => {
    const events = recorded("tool");
    const all = states(events);
    const questions = all.map((state) => state.stored[0]).filter(Boolean);
    expect(new Set(questions).size).toBe(1);
  });
});

describe("a model that dies in mid-answer", () => {
  it("leaves its words, taken back, and a line", () => {
    const list = entries("death");
    expect(kinds(list)).toEqual(["human", "taken", "fallback", "ai"]);
    expect(list[1]).toMatchObject({ model: "llama3.2", reason: "cut" });
    expect((list[1] as { text: string }).text).toHaveLength(147);
    expect(list[2]).toMatchObject({ from: "llama3.2", to: "qwen3", reason: "cut", attempt: 2 });
    expect((list[2] as { seconds: number }).seconds).toBeGreaterThan(0.5);
  });

  it("is told in the route of the answer, with times by the service's clock", () => {
    const answer = messages(entries("death")).at(-1)!;
    expect(answer.drawn.route).toMatchObject({ model: "qwen3", mode: "fallback" });
    expect(answer.drawn.route?.tried).toHaveLength(1);
    expect(answer.turn!.first!).toBeGreaterThan(0.9);
    expect(answer.turn!.total!).toBeGreaterThan(answer.turn!.first!);
  });

  it("is told after a reload without the events, too", () => {
    const { stored } = played("death");
    const list = entriesOf(opened(EMPTY, { values: { messages: stored }, interrupts: [] }, "idle"));
    expect(kinds(list)).toEqual(["human", "fallback", "ai"]);
    expect(list[1]).toMatchObject({ from: "llama3.2", to: "qwen3", reason: "cut" });
  });
});

it("a model that says no word in time leaves a line with the seconds", () => {
  const list = entries("timeout");
  expect(kinds(list)).toEqual(["human", "fallback", "ai"]);
  expect(list[1]).toMatchObject({ from: "slow", to: "qwen3", reason: "timeout" });
  expect(Math.round((list[1] as { seconds: number }).seconds)).toBe(2);
});

it("an offline answer says why", () => {
  const answer = messages(entries("offline")).at(-1)!;
  expect(answer.drawn.route).toMatchObject({ mode: "offline", degraded: true });
  expect(answer.drawn.route?.reason).toContain("429");
  expect(answer.turn).toMatchObject({ tools: 1 });
});

describe("tools", () => {
  it("are drawn with the message that calls them, each with its result", () => {
    const [, calling, answer] = messages(entries("tool"));
    expect(calling!.calls.map((call) => [call.name, call.phase])).toEqual([
      ["calculator", "done"],
      ["calculator", "done"],
      ["current_time", "done"],
    ]);
    expect(calling!.calls[0]!.args).toEqual({ expression: "6*7" });
    expect(calling!.calls[0]!.output).toContain("42");
    expect(calling!.calls[2]!.seconds).toBeGreaterThan(0);
    expect(calling!.turn).toBeNull();
    expect(answer!.turn).toMatchObject({ tools: 3 });
  });

  it("grow, are called, run, and are done", () => {
    const phases = new Set<string>();
    for (const state of states(recorded("tool"))) {
      for (const { calls } of messages(entriesOf(state))) for (const call of calls) phases.add(call.phase);
    }
    expect([...phases]).toEqual(["growing", "called", "running", "done"]);
  });
});

describe("an interrupt", () => {
  it("waits, and its calls are marked", () => {
    const state = played("interrupt");
    expect(state.phase).toBe("waiting");
    expect(state.interrupts).toHaveLength(1);
    const calls = messages(entriesOf(state)).at(-1)!.calls;
    expect(calls.map((call) => call.phase)).toEqual(["asked", "asked", "called"]);
  });

  it("is gone when somebody has answered it, and the run goes on", () => {
    const [begin, ...rest] = recorded("answered");
    const state = reduceAll(played("interrupt"), [begin!]);
    expect(state.phase).toBe("busy");
    const done = reduceAll(state, rest);
    expect(done.interrupts).toEqual([]);
    expect(done.phase).toBe("idle");
    expect(kinds(entriesOf(done))).toEqual(["human", "ai", "ai"]);
  });

  it("is known from the stored state alone", () => {
    const { stored, interrupts } = played("interrupt");
    const state = opened(EMPTY, { values: { messages: stored }, interrupts }, "interrupted");
    expect(state.phase).toBe("waiting");
    expect(messages(entriesOf(state)).at(-1)!.calls[0]!.phase).toBe("asked");
  });
});

it("a run that was cancelled leaves what it has said, taken back", () => {
  const list = entries("cancelled");
  expect(kinds(list)).toEqual(["human", "taken"]);
  expect((list[1] as { text: string }).text).toContain("word50");
});

it("a run whose process was killed begins anew: what it had said is taken back", () => {
  const list = entries("killed");
  expect(kinds(list)).toEqual(["human", "taken", "taken"]);
  expect(list[1]).toMatchObject({ reason: "the run has begun anew" });
  expect((list[1] as { text: string }).text).toContain("word0 word1");
});

it("a question that found no answer stays visible, with what was said, and the error", () => {
  const events = recorded("death");
  const dies = events.findIndex((event) => event.method === "custom" && event.data.name === "reset");
  const about = { namespace: [], timestamp: 0, seq: null, run: events[0]!.run };
  const state = reduceAll(EMPTY, [
    ...events.slice(0, dies + 1),
    { ...about, method: "values", data: { messages: [] } },
    { ...about, method: "lifecycle", data: { event: "failed", error: "No model could answer." } },
  ]);
  expect(state.phase).toBe("failed");
  expect(kinds(entriesOf(state))).toEqual(["unanswered", "taken", "failure"]);
});

it("lost events are told", () => {
  const gap: ProtocolEvent = { method: "custom", namespace: [], timestamp: 0, seq: 5, run: "r", data: { name: "gap" } };
  expect(kinds(entriesOf(reduce(EMPTY, gap)))).toEqual(["gap"]);
});

it("what the state holds beside its messages is kept", () => {
  const values: ProtocolEvent = {
    ...{ method: "values", namespace: [], timestamp: 0, seq: 5, run: "r" },
    data: { messages: [], route: {}, plan: ["one", "two"] },
  };
  expect(reduce(EMPTY, values).channels).toEqual({ plan: ["one", "two"] });
});

describe("a plan", () => {
  const said = (name: string, payload: unknown): ProtocolEvent => ({
    ...{ method: "custom", namespace: [], timestamp: 0, seq: 5, run: "r" },
    data: { name, payload: { type: name, ...(payload as object) } },
  });
  const step = (id: string, status: string, result = "") => ({ id, text: `do ${id}`, depends_on: [], status, result });

  it("is shown as it is made, and changes step by step", () => {
    const made = reduce(EMPTY, said("plan", { steps: [step("1", "pending"), step("2", "pending")] }));
    const begun = reduce(made, said("step", step("2", "running")));
    const ended = reduce(begun, said("step", step("2", "done", "42")));
    expect(begun.channels.steps).toEqual([step("1", "pending"), step("2", "running")]);
    expect(ended.channels.steps).toEqual([step("1", "pending"), step("2", "done", "42")]);
  });

  it("memories of a turn are shown until the next one", () => {
    const known = reduce(EMPTY, said("memories", { memories: ["likes tea", 7] }));
    expect(known.memories).toEqual(["likes tea"]);
    const data = { event: "running", graph_name: "agent" } as never;
    const next = reduce(known, { ...{ method: "lifecycle", namespace: [], timestamp: 0, seq: 6, run: "r2" }, data });
    expect(next.memories).toEqual([]);
  });
});

describe("a graph of the user's", () => {
  it.each([
    [["a text"]],
    [[null, 7, {}, [], { type: "ai" }, { type: 3, content: "x" }]],
    [[{ type: "ai", content: { text: "x" } }, { type: "ai", content: "x", tool_calls: {} }]],
    [[{ type: "ai", id: "1", content: [null, 7, "x", {}, { type: "text" }, { type: 5 }] }]],
    ["a text"],
    [{ type: "ai", content: "x" }],
  ])("may keep %j in its messages", (messages) => {
    const values = { messages, route: { tried: null } };
    const state = opened(EMPTY, { values, interrupts: [] }, "idle");
    expect(() => entriesOf(state)).not.toThrow();
  });

  it.each([
    ["custom", { payload: null }],
    ["values", null],
    ["values", ["a", "list"]],
    ["custom", { name: "fallback", payload: 7 }],
    ["custom", { name: "reset", payload: null }],
    ["custom", { name: "plan", payload: null }],
    ["custom", { name: "step", payload: { id: 3 } }],
    ["custom", { name: "memories", payload: { memories: "a text" } }],
    ["messages", { event: "nobody-knows", message_id: "1" }],
    ["messages", { event: "content-block-delta", message_id: "1", index: 9_000, delta: {} }],
    ["tools", { event: "nobody-knows", tool_call_id: "1" }],
    ["nobody-knows", { x: 1 }],
  ])("may say by %s %j", (method, data) => {
    const event = { method, namespace: [], timestamp: 1, data, seq: 1, run: "1" } as unknown as ProtocolEvent;
    expect(() => entriesOf(reduce(EMPTY, event))).not.toThrow();
  });
});
