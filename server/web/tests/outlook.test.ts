import { describe, expect, it } from "vitest";

import type { Model } from "../src/talk/catalogue";
import { outlookOf } from "../src/talk/outlook";
import type { Route } from "../src/thread/state";

function model(name: string, change: Partial<Model> = {}): Model {
  const rest = { tools: true, free: true, context: null, price: null, latency: null, failing: 0 };
  return { name, configured: true, circuit: "closed", retry_after: null, ...rest, ...change };
}

const offline = model("offline");
const failed: Route = {
  model: "offline",
  mode: "offline",
  degraded: true,
  reason: "all models failed",
  tried: [{ model: "a", failure: "timeout", message: "" }] as Route["tried"],
};
const unasked: Route = { model: "offline", mode: "offline", degraded: false, tried: [] };

describe("after an offline answer", () => {
  it("no model is configured where only the offline model is there", () => {
    expect(outlookOf([offline], unasked, true).kind).toBe("unconfigured");
    const known = model("a", { configured: false });
    expect(outlookOf([known, offline], unasked, true).kind).toBe("unconfigured");
  });

  it("nothing is to be expected where the reader wanted it", () => {
    expect(outlookOf([model("a"), offline], unasked, true).kind).toBe("wanted");
  });

  it("the first breaker that closes counts, and the offline model is none", () => {
    const open = (name: string, retry_after: number | null) => model(name, { circuit: "open", retry_after });
    expect(outlookOf([open("a", 90), open("b", 30), offline], failed, true)).toEqual({ kind: "back", seconds: 30 });
    expect(outlookOf([open("a", null), offline], failed, true)).toEqual({ kind: "back", seconds: 15 });
    expect(outlookOf([open("a", 90), model("b"), offline], failed, true)).toEqual({ kind: "back", seconds: 0 });
  });

  it("only the models that were asked count where no other was to be", () => {
    const models = [model("a", { circuit: "open", retry_after: 90 }), model("b"), offline];
    expect(outlookOf(models, failed, false)).toEqual({ kind: "back", seconds: 90 });
  });
});
