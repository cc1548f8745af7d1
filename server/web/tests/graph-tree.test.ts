import { describe, expect, it } from "vitest";

import { type Checkpoint, madeBy, merge, ofEvent, ofState } from "../src/graph/checkpoints/checkpoint";
import { treeOf } from "../src/graph/checkpoints/lanes";
import { momentOf } from "../src/graph/moment";

const node = (id: string, parent: string | null, made: string[] = []): Checkpoint => ({
  ...{ id, parent, step: 0, source: "loop", at: 0, made },
});

function shuffled<T>(items: readonly T[], seed: number): T[] {
  const list = [...items];
  for (let index = list.length - 1; index > 0; index -= 1) {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    const other = seed % (index + 1);
    [list[index], list[other]] = [list[other] as T, list[index] as T];
  }
  return list;
}

// 1 ─ 2 ─ 3 ─ 8    and from 2: 4 ─ 5, from 3: 6 ─ 7
const three = [
  ...[node("1", null), node("2", "1"), node("3", "2"), node("4", "2"), node("5", "4")],
  ...[node("6", "3"), node("7", "6"), node("8", "3")],
];

describe("the tree of checkpoints", () => {
  it("is the same whatever order they come in", () => {
    const tree = treeOf(three);
    for (let seed = 1; seed < 40; seed += 1) expect(treeOf(shuffled(three, seed))).toEqual(tree);
  });

  it("has a lane for each branch, and the newest branch in the first", () => {
    const { rows, branches, lanes } = treeOf(three);
    const lane = Object.fromEntries(rows.map((row) => [row.checkpoint.id, row.lane]));
    expect(rows.map(({ checkpoint }) => checkpoint.id)).toEqual(["8", "7", "6", "5", "4", "3", "2", "1"]);
    expect(lane).toEqual({ 8: 0, 7: 1, 6: 1, 5: 2, 4: 2, 3: 0, 2: 0, 1: 0 });
    expect([branches, lanes]).toEqual([3, 3]);
    expect(rows.map(({ branch }) => branch)).toEqual([1, 2, null, 3, null, null, null, null]);
  });

  it("joins branches where they have begun", () => {
    const at = new Map(treeOf(three).rows.map((row) => [row.checkpoint.id, row]));
    expect(at.get("3")).toMatchObject({ joining: [0, 1], passing: [2], children: 2 });
    expect(at.get("2")).toMatchObject({ joining: [0, 2], passing: [] });
    expect(at.get("1")).toMatchObject({ below: "nothing" });
  });

  it("draws no line to a parent that is not known, and uses its lane again", () => {
    const { rows, lanes } = treeOf([node("9", "gone"), node("8", "7"), node("7", null)]);
    expect(rows.map(({ below, lane }) => [below, lane])).toEqual([["unknown", 0], ["parent", 0], ["nothing", 0]]);
    expect(lanes).toBe(1);
  });

  it("takes a long thread with many forks", () => {
    const many = Array.from({ length: 1_000 }, (_, index) => {
      const id = String(index).padStart(6, "0");
      const parent = index === 0 ? null : String(index % 50 ? index - 1 : Math.max(0, index - 60)).padStart(6, "0");
      return node(id, parent);
    });
    const { rows, branches } = treeOf(shuffled(many, 7));
    expect(rows).toHaveLength(1_000);
    expect(branches).toBe(20);
  });
});

describe("checkpoints", () => {
  const listed = {
    ...{ checkpoint_id: "1f1ebd84-9276-6d8f-bfff-d3dbed099f7e", parent_checkpoint_id: null },
    ...{ metadata: { step: -1, source: "input" }, created_at: "2026-11-29T09:35:59.798901+00:00" },
    made_by: [],
  };

  it("have their time in their ids", () => {
    expect(momentOf(listed.checkpoint_id)).toBe(Date.parse(listed.created_at));
    expect(momentOf("no id")).toBeNull();
  });

  it("are made by the nodes of a step", () => {
    expect(madeBy(node("2", "1", ["__start__", "a", "b"]))).toEqual(["a", "b"]);
    expect(madeBy({ ...node("3", "2", ["a"]), source: "update" })).toEqual([]);
  });

  it("are the same, whether an event has told of them or a list", () => {
    const event = ofEvent({ id: listed.checkpoint_id, step: -1, source: "input" }, []);
    expect(event).toEqual(ofState({ ...listed, created_at: null }));
    expect(merge(new Map([[event.id, event]]), [ofState(listed)]).get(event.id)).toBe(event);
  });
});
