import { describe, expect, it } from "vitest";

import { strings } from "../src/strings";
import { costWords, failureWords, pretty, secondsWords } from "../src/talk/words";

describe("words", () => {
  it("say times and costs with as many digits as they need", () => {
    expect([0.0042, 0.34, 2, 20.4, 125].map(secondsWords)).toEqual(["4 ms", "0.3 s", "2 s", "20 s", "2 min 5 s"]);
    expect([0, 0.000117, 0.00034, 0.0123, 1.5, 20].map(costWords)).toEqual(["$0", "$0.000117", "$0.00034", "$0.0123", "$1.5", "$20"]);
  });

  it("name a class of failure, and leave other words as they are", () => {
    const say = (key: keyof typeof strings) => strings[key][0];
    expect(failureWords(say, "cut")).toBe("died half-way");
    expect(failureWords(say, "something new")).toBe("something new");
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
