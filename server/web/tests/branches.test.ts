import { describe, expect, it } from "vitest";

import { type Checkpoint, Tree, before, making } from "../src/thread/branches";

/** A thread as the service stores it: two turns, the first question asked otherwise, the second answer made anew. */
const checkpoints: Checkpoint[] = [
  { id: "01", parent: null, source: "input" },
  { id: "02", parent: "01", source: "loop" }, // one
  { id: "03", parent: "02", source: "loop" }, // one, its answer
  { id: "04", parent: "03", source: "input" },
  { id: "05", parent: "04", source: "loop" }, // … two
  { id: "06", parent: "05", source: "loop" }, // … two, its answer
  { id: "07", parent: "01", source: "input" },
  { id: "08", parent: "07", source: "loop" }, // ONE
  { id: "09", parent: "08", source: "loop" }, // ONE, its answer
  { id: "10", parent: "05", source: "fork" },
  { id: "11", parent: "10", source: "loop" }, // … two, another answer
];
const counts = new Map(Object.entries({ "01": 0, "02": 1, "03": 2, "04": 2, "05": 3, "06": 4, "07": 0, "08": 1, "09": 2, "10": 3, "11": 4 }));
const tree = new Tree(checkpoints);
const along = (leaf: string) => {
  const path = tree.path(leaf);
  return [path, path.map(({ id }) => counts.get(id)!)] as const;
};

describe("a thread with branches", () => {
  it("has its newest checkpoint as its end", () => {
    expect(tree.head).toBe("11");
    expect(tree.path("11").map(({ id }) => id)).toEqual(["01", "02", "03", "04", "05", "10", "11"]);
  });

  it("has siblings where it forks, each with the end of its way", () => {
    const switches = tree.switches("11", counts);
    expect([...switches.keys()]).toEqual([0, 3]);
    expect(switches.get(0)).toEqual({ leaves: ["11", "09"], current: 0 });
    expect(switches.get(3)).toEqual({ leaves: ["06", "11"], current: 1 });
  });

  it("shows the siblings of the branch that is looked at", () => {
    expect(tree.switches("09", counts)).toEqual(new Map([[0, { leaves: ["11", "09"], current: 1 }]]));
    expect(tree.switches("06", counts).get(3)).toEqual({ leaves: ["06", "11"], current: 0 });
  });

  it("keeps versions of versions of one message together", () => {
    const more: Checkpoint[] = [...checkpoints, { id: "12", parent: "07", source: "input" }, { id: "13", parent: "12", source: "loop" }];
    const known = new Map([...counts, ["12", 0], ["13", 1]]);
    expect(new Tree(more).switches("13", known).get(0)).toEqual({ leaves: ["11", "09", "13"], current: 2 });
  });

  it("is asked otherwise from before the question, not from an input that has not begun", () => {
    const [path, many] = along("11");
    expect(before(path, 0, many)).toBe("01");
    expect(before(path, 2, many)).toBe("03");
    const [other, few] = along("09");
    expect(before(other, 0, few)).toBe("01");
  });

  it("is answered anew from the state that has the question", () => {
    const [path, many] = along("11");
    expect(making(path, 1, many)).toBe("02");
    expect(making(path, 3, many)).toBe("05");
  });
});
