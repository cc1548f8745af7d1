import { describe, expect, it } from "vitest";

import { pictureIn, urlIn } from "../src/talk/picture";

const DATA = "data:image/png;base64,iVBORw0KGgo=";

describe("a picture in a message", () => {
  it.each([
    { type: "image_url", image_url: { url: DATA } },
    { type: "image_url", image_url: DATA },
    { type: "image", url: DATA },
    { type: "image", base64: "iVBORw0KGgo=", mime_type: "image/png" },
    { type: "image", source_type: "base64", data: "iVBORw0KGgo=", mime_type: "image/png" },
  ])("is shown: %j", (value) => expect(pictureIn(value)).toBe(DATA));

  it.each([
    { type: "image_url", image_url: { url: "https://example.org/a.png" } },
    { type: "image_url", image_url: { url: "data:image/svg+xml;base64,AAAA" } },
    { type: "image_url", image_url: { url: "data:text/html,<script>" } },
    { type: "image", base64: "AAAA", mime_type: "text/html" },
    { type: "image", base64: 'AAAA" onerror="x', mime_type: "image/png" },
    { type: "image", image_url: null },
    { type: "file", data: 7 },
  ])("is not shown: %j", (value) => expect(pictureIn(value)).toBeNull());

  it("of another server is an address", () =>
    expect(urlIn({ image_url: { url: "https://example.org/a.png" } })).toBe("https://example.org/a.png"));
});
