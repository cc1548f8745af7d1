import { describe, expect, it } from "vitest";

import { pieces } from "../src/talk/pieces";

describe("pieces", () => {
  it("end at empty lines", () => {
    expect(pieces("One.\n\nTwo.\n\nThr")).toEqual(["One.\n\n", "Two.\n\nThr"]);
    expect(pieces("One.\n\nTwo.\n\nThree\n")).toEqual(["One.\n\n", "Two.\n\n", "Three\n"]);
  });

  it("never end in code, whatever is in it", () => {
    const code = "```py\na = 1\n\nb = 2\n~~~\n\nc\n```\n";
    expect(pieces(`Look:\n\n${code}\nAfter.\n`)).toEqual(["Look:\n\n", `${code}\n`, "After.\n"]);
    expect(pieces("````\n```\n\nx\n```\n\ny\n")).toHaveLength(1);
  });

  it("keep a list together, with what belongs to its points", () => {
    const list = "1. one\n\n   more of it\n\n2. two\n\n- three\n\n";
    expect(pieces(`${list}After.\n`)).toEqual([list, "After.\n"]);
  });

  it("are all of the text, and those before the last do not change as it grows", () => {
    const text = "# A\n\nSome *words*.\n\n| a |\n|---|\n| 1 |\n\n```\nx\n\ny\n```\n\nEnd.\n\nMore.";
    let before: string[] = [];
    for (let end = 0; end <= text.length; end += 1) {
      const now = pieces(text.slice(0, end));
      expect(now.join("")).toBe(text.slice(0, end));
      expect(now.slice(0, before.length - 1)).toEqual(before.slice(0, -1));
      before = now;
    }
    expect(before.length).toBeGreaterThan(4);
  });
});
