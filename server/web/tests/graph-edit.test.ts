import { describe, expect, it } from "vitest";

import { otherwise, tidy, updateOf } from "../src/graph/checkpoints/edit";

const message = (id: string | null, content: string) => ({ id, content, type: "human" });

describe("an edited state", () => {
  it("is written by the channels that have changed", () => {
    expect(updateOf({ a: 1, b: [1], c: { d: 1 } }, { a: 1, b: [1, 2], c: { d: 2 } })).toEqual({ b: [1, 2], c: { d: 2 } });
  });

  it("writes the messages that have changed or are new, and takes out those that are gone", () => {
    const before = { messages: [message("1", "a"), message("2", "b"), message("3", "c")] };
    const after = { messages: [message("1", "a"), message("3", "C"), message(null, "d")] };
    expect(updateOf(before, after)).toEqual({
      messages: [{ type: "remove", id: "2", content: "" }, message("3", "C"), message(null, "d")],
    });
  });

  it("writes nothing when nothing has changed", () => {
    const state = { messages: [message("1", "a")], other: null };
    expect(updateOf(state, structuredClone(state))).toEqual({});
  });

  it("finds the channels to which a reducer has put the value", () => {
    const wanted = { steps: ["x"], count: 2, messages: [message(null, "a")] };
    const got = { steps: ["a", "x"], count: 2, messages: [{ ...message("new", "a"), name: null }] };
    expect(otherwise(wanted, wanted, got)).toEqual(["steps"]);
  });

  it("shows of a message what says something", () => {
    const full = { ...message("1", ""), additional_kwargs: {}, name: null, tool_calls: [], response_metadata: { a: 1 } };
    expect(tidy({ messages: [full], steps: [null] })).toEqual({
      messages: [{ ...message("1", ""), response_metadata: { a: 1 } }],
      steps: [null],
    });
  });
});
