import { describe, expect, it } from "vitest";

import { FrameParser } from "../src/wire";

const text = 'event: a\r\ndata: {"x":1}\r\nid: 7\r\n\r\n: ping\n\ndata: one\ndata: two\n\ndata: un';

const read = (pieces: string[]) => {
  const parser = new FrameParser();
  return pieces.flatMap((piece) => parser.take(piece));
};

describe("FrameParser", () => {
  const whole = [
    { event: "a", data: '{"x":1}', id: "7" },
    { event: "message", data: "one\ntwo", id: "7" },
  ];

  it("reads frames, and leaves what is not finished", () => {
    expect(read([text])).toEqual(whole);
  });

  it("reads the same frames wherever the text is cut", () => {
    for (let cut = 0; cut <= text.length; cut += 1) {
      expect(read([text.slice(0, cut), text.slice(cut)])).toEqual(whole);
    }
    expect(read([...text])).toEqual(whole);
  });

  it("knows the ends of lines of any kind, one after the other, wherever they are cut", () => {
    const mixed = "data: a\r\n\ndata: b\n\r\ndata: c\r\rdata: d\r\n\r\n";
    const found = ["a", "b", "c", "d"].map((data) => ({ event: "message", data, id: null }));
    expect(read([mixed])).toEqual(found);
    expect(read([...mixed])).toEqual(found);
    for (let cut = 0; cut <= mixed.length; cut += 1) {
      expect(read([mixed.slice(0, cut), "", mixed.slice(cut)])).toEqual(found);
    }
  });
});
