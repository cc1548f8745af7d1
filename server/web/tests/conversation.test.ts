import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import type { ProtocolEvent } from "../src/protocol";
import { create } from "../src/store";
import type { Feed } from "../src/thread/feed";

const none = { getItem: () => null, setItem: () => undefined, removeItem: () => undefined };
vi.stubGlobal("document", Object.assign(new EventTarget(), { hidden: false }));
vi.stubGlobal("window", { setTimeout: (...given: Parameters<typeof setTimeout>) => setTimeout(...given) });
vi.stubGlobal("requestAnimationFrame", (due: () => void) => setTimeout(due, 16));
vi.stubGlobal("sessionStorage", none);
vi.stubGlobal("localStorage", none);

const { Conversation } = await import("../src/thread/conversation");

const human = (content: string) => ({ type: "human", id: content, content });
const event = (method: string, data: unknown): ProtocolEvent =>
  ({ method, namespace: [], timestamp: 1, data, seq: 1, run: "run" }) as ProtocolEvent;

/** What a run told that asked "hi", and whose newest checkpoint was "2". */
const told = [
  event("lifecycle", { event: "running" }),
  event("values", { messages: [human("hi")] }),
  event("checkpoints", { id: "2", step: 1, source: "loop" }),
  event("lifecycle", { event: "completed" }),
];

describe("a thread whose state was edited after its newest run", () => {
  let stored: { values: unknown; interrupts: never[]; checkpoint_id: string };
  let status: string;
  let tell: (events: ProtocolEvent[]) => void;
  let reached: Feed["reached"];
  let conversation: InstanceType<typeof Conversation>;

  const shown = () => conversation.state.get().stored.map(({ content }) => content);
  const open = () => {
    reached = create(1);
    const subscribe = (listener: typeof tell) => ((tell = listener), () => undefined);
    conversation = new Conversation({ threadId: "1", subscribe, reached } as unknown as Feed, false);
  };

  beforeEach(() => {
    vi.useFakeTimers();
    status = "idle";
    stored = { values: { messages: [human("hi"), human("edited")] }, interrupts: [], checkpoint_id: "3" };
    vi.stubGlobal("fetch", async (path: string) => Response.json(path.endsWith("/state") ? stored : { status }));
  });

  afterEach(() => {
    conversation.close();
    vi.useRealTimers();
  });

  it("is shown edited, whether its state or its events come first", async () => {
    open();
    await vi.advanceTimersByTimeAsync(10);
    tell(told);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(shown()).toEqual(["hi", "edited"]);

    conversation.close();
    open();
    tell(told);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(shown()).toEqual(["hi", "edited"]);
    expect(conversation.state.get().phase).toBe("idle");
  });

  it("is shown edited to who was away meanwhile", async () => {
    stored = { values: { messages: [human("hi")] }, interrupts: [], checkpoint_id: "2" };
    open();
    tell(told);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(shown()).toEqual(["hi"]);
    stored = { values: { messages: [human("edited")] }, interrupts: [], checkpoint_id: "3" };
    reached.set(2);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(shown()).toEqual(["edited"]);
  });

  it("is shown as its next run tells it", async () => {
    open();
    tell(told);
    await vi.advanceTimersByTimeAsync(1_000);
    tell([event("lifecycle", { event: "running" }), event("values", { messages: [human("anew")] })]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(shown()).toEqual(["anew"]);
    tell([event("checkpoints", { id: "4", step: 1, source: "loop" }), event("lifecycle", { event: "completed" })]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(conversation.state.get().checkpoint).toBe("4");
  });
});
