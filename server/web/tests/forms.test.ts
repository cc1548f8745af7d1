import { describe, expect, it } from "vitest";

import { type JSONSchema, fieldOf } from "../src/forms/schema";
import { Unreadable, canShow, flawOf, initial, isValid, withMember } from "../src/forms/value";

const kindOf = (schema: JSONSchema | null) => fieldOf(schema).kind;
const object = (properties: Record<string, unknown>, required: string[] = []): JSONSchema => ({
  type: "object",
  properties,
  required,
});

describe("fieldOf", () => {
  it("reads the kinds that a form has fields for", () => {
    expect(kindOf({ type: "string" })).toBe("text");
    expect(kindOf({ type: "integer" })).toBe("number");
    expect(kindOf({ type: "boolean" })).toBe("boolean");
    expect(kindOf({ enum: ["a", "b"] })).toBe("choice");
    expect(kindOf({ const: 1 })).toBe("constant");
    expect(kindOf({ type: "array", items: { type: "string" } })).toBe("list");
    expect(kindOf(object({ a: { type: "string" } }))).toBe("object");
  });

  it("falls back to JSON", () => {
    for (const schema of [null, true, {}, { type: ["string", "integer"] }] as const) {
      expect(kindOf(schema)).toBe("json");
    }
    expect(kindOf({ anyOf: [{ type: "string" }, { type: "integer" }] })).toBe("json");
    expect(kindOf({ type: "object", additionalProperties: { type: "string" } })).toBe("json");
    expect(kindOf({ type: "array", prefixItems: [{}, {}] })).toBe("json");
  });

  it("takes null out of a choice of types", () => {
    for (const schema of [
      { anyOf: [{ type: "integer" }, { type: "null" }], description: "how many" },
      { type: ["integer", "null"], description: "how many" },
    ]) {
      expect(fieldOf(schema)).toMatchObject({ kind: "number", nullable: true, hint: "how many" });
    }
    expect(fieldOf({ enum: ["a", null] })).toMatchObject({ options: ["a"], nullable: true });
  });

  it("reads a choice of constants", () => {
    expect(fieldOf({ oneOf: [{ const: "a" }, { const: "b" }] })).toMatchObject({ options: ["a", "b"] });
  });

  it("follows references, and what stands beside them", () => {
    const schema = {
      ...(object({ to: { $ref: "#/$defs/Who", description: "whom" } }, ["to"]) as object),
      $defs: { Who: { enum: ["ada", "bob"], description: "a person" } },
    };
    const field = fieldOf(schema);
    expect(field).toMatchObject({ members: [{ name: "to", required: true, field: { options: ["ada", "bob"], hint: "whom" } }] });
  });

  it("ends where a schema contains itself", () => {
    const tree = object({ children: { type: "array", items: { $ref: "#" } } });
    expect(JSON.stringify(fieldOf(tree))).toContain('"json"');
    expect(kindOf({ $ref: "#" })).toBe("json");
    expect(kindOf({ $ref: "elsewhere.json" })).toBe("json");
  });
});

describe("initial", () => {
  it("has what is required, and defaults", () => {
    const schema = object(
      { to: { type: "string" }, sure: { type: "boolean" }, zone: { type: "string", default: "UTC" }, copies: { type: "integer" } },
      ["to", "sure", "zone", "copies"],
    );
    expect(initial(fieldOf(schema))).toEqual({ to: "", sure: false, zone: "UTC", copies: undefined });
    expect(initial(fieldOf(object({ to: { type: "string" } })))).toEqual({});
  });
});

describe("isValid", () => {
  const mail = fieldOf(
    object(
      {
        to: { type: "string", minLength: 1 },
        copies: { type: "integer", minimum: 1, exclusiveMaximum: 10 },
        tags: { type: "array", items: { type: "string", pattern: "^[a-z]+$" }, maxItems: 2 },
        about: object({ urgent: { type: "boolean" } }, ["urgent"]),
      },
      ["to"],
    ),
  );

  it("takes what fits, and optional members that are not there", () => {
    expect(isValid(mail, { to: "ada" })).toBe(true);
    expect(isValid(mail, { to: "ada", copies: 9, tags: ["a", "b"], about: { urgent: false } })).toBe(true);
    expect(isValid(mail, { to: "ada", unknown: 1 })).toBe(true);
  });

  it.each([
    {},
    { to: "" },
    { to: 7 },
    { to: "ada", copies: 0 },
    { to: "ada", copies: 10 },
    { to: "ada", copies: 1.5 },
    { to: "ada", copies: new Unreadable("1x") },
    { to: "ada", tags: ["A"] },
    { to: "ada", tags: ["a", "b", "c"] },
    { to: "ada", tags: "a" },
    { to: "ada", about: {} },
    { to: "ada", copies: null },
    "ada",
    undefined,
  ])("refuses %o", (value) => {
    expect(isValid(mail, value)).toBe(false);
  });

  it("counts characters as people do", () => {
    expect(isValid(fieldOf({ type: "string", maxLength: 1 }), "😀")).toBe(true);
  });

  it("leaves a pattern to the service that a browser cannot read", () => {
    expect(isValid(fieldOf({ type: "string", pattern: "(?P<a>x)" }), "y")).toBe(true);
  });

  it("takes null where the schema does, and any JSON where it says nothing", () => {
    expect(isValid(fieldOf({ anyOf: [{ type: "string" }, { type: "null" }] }), null)).toBe(true);
    expect(isValid(fieldOf({ type: "string" }), null)).toBe(false);
    expect(isValid(fieldOf(null), { any: ["thing"] })).toBe(true);
    expect(isValid(fieldOf(null), new Unreadable("{"))).toBe(false);
  });

  it("says what is wrong", () => {
    const copies = fieldOf({ type: "integer", minimum: 1 });
    expect(flawOf(copies, new Unreadable("x"), true)).toEqual({ key: "flawInteger" });
    expect(flawOf(copies, 0, true)).toEqual({ key: "flawSmall", limit: 1 });
    expect(flawOf(copies, undefined, true)).toEqual({ key: "flawMissing" });
    expect(flawOf(copies, undefined, false)).toBeNull();
  });
});

describe("canShow", () => {
  it("leaves to JSON what a model wrote against the schema", () => {
    const field = fieldOf(object({ to: { type: "string" } }));
    expect(canShow(field, { to: "ada" })).toBe(true);
    expect(canShow(field, { to: ["ada"] })).toBe(false);
    expect(canShow(field, [])).toBe(false);
  });
});

describe("withMember", () => {
  it("sets a member in its place, and leaves out what is undefined", () => {
    expect(Object.keys(withMember({ a: 1, b: 2 }, "a", 3))).toEqual(["a", "b"]);
    expect(withMember({ a: 1, b: 2 }, "a", undefined)).toEqual({ b: 2 });
    expect(withMember(null, "a", 1)).toEqual({ a: 1 });
  });
});
