import { describe, expect, it, vi } from "vitest";

vi.stubGlobal("window", new EventTarget());
vi.stubGlobal("location", { hash: "#/talk/%" });

const { hashOf, place, placeOf } = await import("../src/place");

const ID = "019dd1f8-4a55-7d66-8b1a-4f2a5a3c1b7e";

describe("the address after #", () => {
  it.each(["threads", "talk", "graph", "now"] as const)("leads to %s and back", (name) => {
    for (const threadId of [null, ID]) expect(placeOf(hashOf({ name, threadId }))).toEqual({ name, threadId });
  });

  it.each(["%", "%E0%A4%A", "..%2F..%2Fapi%2Fusers", "..", "a/b", `${ID}%2F..`, `${ID}?x=`, `${ID}\n`, "x".repeat(10_000)])(
    "names no thread by %j",
    (id) => expect(placeOf(`#/talk/${id}`)).toEqual({ name: "talk", threadId: null }),
  );

  it("may be anything as the page is loaded", () => expect(place.get()).toEqual({ name: "talk", threadId: null }));

  it.each(["", "#", "#/", "#talk", "#/nowhere", "#/toString"])("%j leads to Talk", (hash) =>
    expect(placeOf(hash).name).toBe("talk"),
  );
});
