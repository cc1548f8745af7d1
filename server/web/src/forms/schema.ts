/** From a JSON Schema to the fields of a form. Pure: what is drawn is in schema-form.tsx. */

export type JSONSchema = { readonly [keyword: string]: unknown } | boolean;
type Keywords = { readonly [keyword: string]: unknown };

interface Shared {
  /** What the schema calls it, if anything. */
  title: string;
  hint: string;
  /** Whether null is taken. */
  nullable: boolean;
  default?: unknown;
}

export interface TextField extends Shared {
  kind: "text";
  long: boolean;
  secret: boolean;
  min: number;
  max: number;
  pattern: string | null;
}

export interface NumberField extends Shared {
  kind: "number";
  integer: boolean;
  /** Null where there is no limit. */
  min: number | null;
  max: number | null;
  /** Whether the limits themselves are outside. */
  above: boolean;
  below: boolean;
}

export interface ListField extends Shared {
  kind: "list";
  item: Field;
  min: number;
  max: number;
}

export interface ObjectField extends Shared {
  kind: "object";
  members: Member[];
}

export interface Member {
  name: string;
  required: boolean;
  field: Field;
}

export type Field =
  | TextField
  | NumberField
  | ListField
  | ObjectField
  | (Shared & { kind: "boolean" })
  | (Shared & { kind: "choice"; options: unknown[] })
  | (Shared & { kind: "constant"; value: unknown })
  /** Anything that the form has no field for: JSON as text. */
  | (Shared & { kind: "json" });

const DEEPEST = 6;
const SHORT = 120;

/** Read a schema. What it says beyond the kinds above becomes a field for JSON. */
export function fieldOf(schema: JSONSchema | null): Field {
  if (schema === null || typeof schema === "boolean") return jsonField({}, false);
  return read(schema, schema, 0);
}

function read(given: unknown, root: Keywords, depth: number): Field {
  const [schema, nullable] = withoutNull(resolved(given, root), root);
  const shared = sharedOf(schema, nullable);
  if (depth > DEEPEST) return { ...shared, kind: "json" };
  if ("const" in schema) return { ...shared, kind: "constant", value: schema.const };
  if (Array.isArray(schema.enum)) return choiceOf(schema.enum, shared);
  switch (typeOf(schema)) {
    case "string":
      return textOf(schema, shared);
    case "integer":
    case "number":
      return numberOf(schema, shared);
    case "boolean":
      return { ...shared, kind: "boolean" };
    case "array":
      return listOf(schema, shared, root, depth);
    case "object":
      return objectOf(schema, shared, root, depth);
    default:
      return { ...shared, kind: "json" };
  }
}

const keywordsOf = (value: unknown): Keywords =>
  value !== null && typeof value === "object" && !Array.isArray(value) ? (value as Keywords) : {};

/** Follow `$ref` within the schema; what stands beside it counts as well. */
function resolved(given: unknown, root: Keywords): Keywords {
  let schema = keywordsOf(given);
  for (let steps = 0; typeof schema.$ref === "string" && steps < DEEPEST; steps += 1) {
    const { $ref, ...beside } = schema;
    schema = { ...lookUp(String($ref), root), ...beside };
  }
  const { allOf } = schema;
  if (Array.isArray(allOf) && allOf.length === 1) return { ...resolved(allOf[0], root), ...schema };
  return schema;
}

function lookUp(reference: string, root: Keywords): Keywords {
  if (!reference.startsWith("#")) return {};
  let found: unknown = root;
  for (const part of reference.split("/").slice(1)) {
    found = keywordsOf(found)[part.replaceAll("~1", "/").replaceAll("~0", "~")];
  }
  return keywordsOf(found);
}

/** Of `anyOf: [something, null]` or `type: [something, "null"]` the something. */
function withoutNull(schema: Keywords, root: Keywords): [Keywords, boolean] {
  if (Array.isArray(schema.type)) {
    const types = schema.type.filter((each) => each !== "null");
    const type = types.length === 1 ? types[0] : types;
    return [{ ...schema, type }, types.length < schema.type.length];
  }
  const variants = schema.anyOf ?? schema.oneOf;
  if (!Array.isArray(variants)) return [schema, false];
  const some = variants.map((each) => resolved(each, root)).filter((each) => each.type !== "null");
  const nullable = some.length < variants.length;
  const { anyOf: _, oneOf: __, ...beside } = schema;
  const [only] = some;
  if (some.length === 1 && only) return [{ ...only, ...beside }, nullable];
  if (some.every((each) => "const" in each)) {
    return [{ ...beside, enum: some.map((each) => each.const) }, nullable];
  }
  return [schema, nullable];
}

function sharedOf(schema: Keywords, nullable: boolean): Shared {
  const text = (value: unknown) => (typeof value === "string" ? value : "");
  return {
    title: text(schema.title),
    hint: text(schema.description),
    nullable,
    ...("default" in schema ? { default: schema.default } : {}),
  };
}

function typeOf(schema: Keywords): unknown {
  if (schema.type !== undefined) return schema.type;
  if (schema.properties) return "object";
  return schema.items ? "array" : undefined;
}

const jsonField = (schema: Keywords, nullable: boolean): Field => ({
  ...sharedOf(schema, nullable),
  kind: "json",
});

function choiceOf(options: unknown[], shared: Shared): Field {
  const some = options.filter((each) => each !== null);
  const nullable = shared.nullable || some.length < options.length;
  return { ...shared, nullable, kind: "choice", options: some };
}

const numberIn = (value: unknown): number | null => (typeof value === "number" ? value : null);

function textOf(schema: Keywords, shared: Shared): Field {
  const max = numberIn(schema.maxLength) ?? Infinity;
  return {
    ...shared,
    kind: "text",
    long: max > SHORT,
    secret: schema.format === "password" || schema.writeOnly === true,
    min: numberIn(schema.minLength) ?? 0,
    max,
    pattern: typeof schema.pattern === "string" ? schema.pattern : null,
  };
}

function numberOf(schema: Keywords, shared: Shared): Field {
  const above = numberIn(schema.exclusiveMinimum);
  const below = numberIn(schema.exclusiveMaximum);
  return {
    ...shared,
    kind: "number",
    integer: schema.type === "integer",
    min: above ?? numberIn(schema.minimum),
    max: below ?? numberIn(schema.maximum),
    above: above !== null,
    below: below !== null,
  };
}

function listOf(schema: Keywords, shared: Shared, root: Keywords, depth: number): Field {
  if (schema.prefixItems) return { ...shared, kind: "json" };
  const [min, max] = [numberIn(schema.minItems) ?? 0, numberIn(schema.maxItems) ?? Infinity];
  return { ...shared, kind: "list", item: read(schema.items, root, depth + 1), min, max };
}

function objectOf(schema: Keywords, shared: Shared, root: Keywords, depth: number): Field {
  const members = Object.entries(keywordsOf(schema.properties));
  // An object with names of the writer's own choice: the form cannot know them.
  const open = schema.additionalProperties !== undefined && schema.additionalProperties !== false;
  if (members.length === 0 || open) {
    if (members.length || open || depth > 0) return { ...shared, kind: "json" };
  }
  const required = Array.isArray(schema.required) ? schema.required : [];
  return {
    ...shared,
    kind: "object",
    members: members.map(([name, member]) => ({
      name,
      required: required.includes(name),
      field: read(member, root, depth + 1),
    })),
  };
}
