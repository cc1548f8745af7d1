import { describe, expect, it } from "vitest";

import { strings } from "../src/strings";
import { costWords, failureWords, pretty, reasonWords, secondsWords, toolFailureWords } from "../src/talk/words";

type Key = keyof typeof strings;

const sayIn =
  (index: 0 | 1) =>
  (key: Key, values: Record<string, string | number> = {}) =>
    strings[key][index].replace(/\{(\w+)\}/g, (_, name: string) => String(values[name]));

describe("words", () => {
  it("say times and costs with as many digits as they need", () => {
    expect([0.0042, 0.34, 2, 9.97, 20.4, 119.7, 125].map((n) => secondsWords(sayIn(0), n))).toEqual(
      ["4 ms", "0.3 s", "2 s", "10 s", "20 s", "2 min 0 s", "2 min 5 s"],
    );
    expect([0.0042, 0.34, 125].map((n) => secondsWords(sayIn(1), n))).toEqual(["4 ms", "0.3초", "2분 5초"]);
    expect([0, 0.000117, 0.00034, 0.0123, 1.5, 20].map(costWords)).toEqual(["$0", "$0.000117", "$0.00034", "$0.0123", "$1.5", "$20"]);
  });

  it("name a class of failure, and leave other words as they are", () => {
    const say = (key: keyof typeof strings) => strings[key][0];
    expect(failureWords(say, "cut")).toBe("died half-way");
    expect(failureWords(say, "something new")).toBe("something new");
  });

  it("name what became of a tool's call in a tool's words", () => {
    expect(["timeout", "internal", "refused"].map((kind) => toolFailureWords(sayIn(0), kind))).toEqual(
      ["took too long", "the tool broke", "refused by a person"],
    );
  });

  it("say what became of each model, in the reader's language", () => {
    const tried = [
      { model: "a", failure: "cut", message: "first" },
      { model: "b", failure: "rate_limited", message: "too many" },
      { model: "a", failure: "timeout", message: "no word" },
    ];
    const route = { model: "offline", mode: "offline" as const, degraded: true, tried };
    const whole = { ...route, reason: "all models failed: no word" };
    expect(reasonWords(sayIn(0), whole)).toBe("a gave no word in time, b is asked too often");
    expect(reasonWords(sayIn(1), whole)).toBe("a: 제시간에 응답 없음, b: 요청이 너무 많음");
    expect(reasonWords(sayIn(0), { ...route, reason: "the budget is spent" })).toBe("the budget is spent");
    expect(reasonWords(sayIn(0), { ...route, tried: [] })).toBe("");
  });

  it("show JSON with lines, and leave other texts", () => {
    expect(pretty('{"a":1}')).toBe('{\n  "a": 1\n}');
    expect(pretty("42 is the answer")).toBe("42 is the answer");
  });

  it("are there in both languages, with the same values", () => {
    const values = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();
    for (const [key, [english, korean]] of Object.entries(strings)) {
      expect(korean, key).not.toBe("");
      expect(values(korean), key).toEqual(values(english));
    }
  });
});
