import { describe, expect, it } from "vitest";

import { Clock } from "../src/graph/clock";

describe("the reader's clock", () => {
  it("is not taken to be ahead by what is told again", () => {
    const clock = new Clock();
    clock.hear([1_000, 2_000], 100_000);
    clock.hear([2_500], 100_300);
    expect(clock.ahead).toBe(0);
  });

  it("is ahead by what the quickest event was late", () => {
    const clock = new Clock();
    clock.hear([1_000], 100_000);
    clock.hear([96_500, 96_900], 102_000);
    expect(clock.ahead).toBe(5_100);
    clock.hear([98_000], 103_000);
    clock.hear([99_000], 105_000);
    expect(clock.ahead).toBe(5_000);
  });
});
