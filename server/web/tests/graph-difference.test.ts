import { describe, expect, it } from "vitest";

import { difference } from "../src/graph/checkpoints/difference";

const message = (id: string, content: string, type = "ai") => ({ id, content, type });

describe("difference", () => {
  it("finds nothing between equal states", () => {
    const state = { a: [1, { b: null }], messages: [message("1", "hi")] };
    expect(difference(state, structuredClone(state))).toEqual([]);
  });

  it("names channels that were added, changed and removed", () => {
    expect(difference({ a: 1, b: 2, c: 3 }, { b: 2, c: 4, d: 5 })).toEqual([
      { kind: "removed", path: "a", before: 1 },
      { kind: "changed", path: "c", before: 3, after: 4 },
      { kind: "added", path: "d", after: 5 },
    ]);
  });

  it("shows messages as messages, by their ids", () => {
    const before = { messages: [message("1", "hi"), message("2", "half")] };
    const after = { messages: [message("0", "first"), message("1", "hi"), message("2", "whole"), message("3", "new")] };
    expect(difference(before, after)).toEqual([
      { kind: "added", path: "messages", after: message("0", "first") },
      { kind: "changed", path: "messages", before: message("2", "half"), after: message("2", "whole") },
      { kind: "added", path: "messages", after: message("3", "new") },
    ]);
    expect(difference(after, { messages: [] }).map(({ kind }) => kind)).toEqual(Array(4).fill("removed"));
    expect(difference({}, before)).toHaveLength(2);
  });

  it("shows what was put into a list, and what was taken out of its middle", () => {
    expect(difference({ steps: ["a"] }, { steps: ["a", "b", "c"] })).toEqual([
      { kind: "added", path: "steps[1]", after: "b" },
      { kind: "added", path: "steps[2]", after: "c" },
    ]);
    expect(difference({ steps: ["a", "b", "c"] }, { steps: ["a", "c"] })).toEqual([
      { kind: "removed", path: "steps[1]", before: "b" },
    ]);
  });

  it("looks into objects and lists", () => {
    expect(difference({ plan: { steps: [{ done: false, name: "x" }] } }, { plan: { steps: [{ done: true, name: "x" }] } })).toEqual([
      { kind: "changed", path: "plan.steps[0].done", before: false, after: true },
    ]);
  });

  it("keeps apart what is of another kind", () => {
    expect(difference({ a: null, b: [] }, { a: {}, b: {} })).toEqual([
      { kind: "changed", path: "a", before: null, after: {} },
      { kind: "changed", path: "b", before: [], after: {} },
    ]);
    expect(difference({ a: undefined }, {})).toEqual([{ kind: "removed", path: "a", before: undefined }]);
  });
});
