import { describe, expect, it } from "vitest";

import { EMPTY, type Thread, added, fits, refreshed, shortened, textOf, titleOf, without } from "../src/threads/list";
import { ago } from "../src/threads/time";

const thread = (id: string, minute: number, more: Partial<Thread> = {}): Thread => ({
  thread_id: id,
  status: "idle",
  metadata: {},
  created_at: "2026-01-01T00:00:00+00:00",
  updated_at: `2026-01-01T00:${String(minute).padStart(2, "0")}:00+00:00`,
  ...more,
});
const idsOf = ({ threads }: { threads: Thread[] }) => threads.map((each) => each.thread_id).join("");
const loaded = added(added(EMPTY, [thread("d", 4), thread("c", 3)], true), [thread("b", 2), thread("a", 1)], true);

describe("the list of threads", () => {
  it("puts pages together, and counts where the next begins", () => {
    expect(idsOf(loaded)).toBe("dcba");
    expect(loaded.offset).toBe(4);
  });

  it("has a thread once that moved down between two pages", () => {
    const list = added(loaded, [thread("a", 1), thread("x", 0)], false);
    expect(idsOf(list)).toBe("dcbax");
    expect(list.more).toBe(false);
  });

  it("takes what is new and what moved up from the newest page", () => {
    const list = refreshed(loaded, [thread("e", 6), thread("b", 5), thread("d", 4)], true);
    expect(idsOf(list)).toBe("ebdca");
    expect(list.offset).toBe(5);
    expect(list.more).toBe(true);
  });

  it("drops what somebody else has deleted within the newest page", () => {
    expect(idsOf(refreshed(loaded, [thread("d", 4), thread("b", 2)], true))).toBe("dba");
  });

  it("begins anew where too much has changed", () => {
    const list = refreshed(loaded, [thread("z", 9), thread("y", 8)], true);
    expect(idsOf(list)).toBe("zy");
    expect(list.offset).toBe(2);
  });

  it("is the newest page where that is all there is", () => {
    expect(idsOf(refreshed(loaded, [thread("d", 4)], false))).toBe("d");
    expect(idsOf(refreshed(loaded, [], false))).toBe("");
  });

  it("moves the next page up when a thread is deleted", () => {
    expect(without(loaded, "c").offset).toBe(3);
    expect(without(loaded, "unknown")).toBe(loaded);
  });
});

describe("titles", () => {
  it("are what somebody gave, or the first message", () => {
    expect(titleOf(thread("a", 1, { metadata: { title: "Rice" } }), "How?")).toBe("Rice");
    expect(titleOf(thread("a", 1, { metadata: { title: null } }), "How?")).toBe("How?");
    expect(titleOf(thread("a", 1), undefined)).toBe("");
  });

  it("read text from blocks", () => {
    expect(textOf([{ type: "text", text: "See" }, { type: "image_url" }, "this"])).toBe("See  this");
    expect(textOf(null)).toBe("");
  });

  it("are one line, and do not cut a letter in two", () => {
    expect(shortened(" a\n\n b ")).toBe("a b");
    const long = shortened("😀".repeat(200));
    expect([...long]).toHaveLength(120);
    expect(long.endsWith("😀…")).toBe(true);
  });

  it("are found by all words of a text, ids by six letters", () => {
    expect(fits("RICE cook", "Cook the rice", "0123456789")).toBe(true);
    expect(fits("rice soup", "Cook the rice", "0123456789")).toBe(false);
    expect(fits("012345", "Cook", "0123456789")).toBe(true);
    expect(fits("012", "Cook", "0123456789")).toBe(false);
  });
});

describe("ago", () => {
  it("says it in the reader's language", () => {
    const now = Date.parse("2026-01-01T02:00:00Z");
    expect(ago("2026-01-01T00:00:00Z", now, "en")).toBe("2 hr. ago");
    expect(ago("2026-01-01T00:00:00Z", now, "ko")).toBe("2시간 전");
    expect(ago("2026-01-01T02:00:09Z", now, "en")).toBe("now");
  });
});
