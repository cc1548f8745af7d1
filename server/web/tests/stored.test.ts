import { describe, expect, it } from "vitest";

import { carefully } from "../src/stored";

const refuse = (): never => {
  throw new DOMException("no", "SecurityError");
};

function working(full = () => false) {
  const kept = new Map<string, string>();
  return {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => (full() ? refuse() : void kept.set(key, value)),
    removeItem: (key: string) => void kept.delete(key),
  };
}

describe("what is kept", () => {
  it("is kept by the browser", () => {
    const kept = working();
    carefully(() => kept).setItem("name", "value");
    expect(kept.getItem("name")).toBe("value");
    carefully(() => kept).removeItem("name");
    expect(kept.getItem("name")).toBeNull();
  });

  it("is kept until the page is left, where the browser may keep nothing", () => {
    const kept = carefully(refuse);
    expect(kept.getItem("name")).toBeNull();
    kept.setItem("name", "value");
    expect(kept.getItem("name")).toBe("value");
    kept.removeItem("name");
    expect(kept.getItem("name")).toBeNull();
  });

  it("is the newest, where the browser is full", () => {
    let full = false;
    const kept = carefully(() => storage);
    const storage = working(() => full);
    kept.setItem("name", "one");
    full = true;
    kept.setItem("name", "two");
    expect(kept.getItem("name")).toBe("two");
    full = false;
    kept.setItem("name", "three");
    expect([kept.getItem("name"), storage.getItem("name")]).toEqual(["three", "three"]);
  });
});
