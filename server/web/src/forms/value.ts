/** Values of a form: what it begins with, and what is wrong with them. Pure. */

import type { Field, ListField, NumberField, ObjectField, TextField } from "./schema";

/** What somebody has typed that cannot be read as yet: a number or JSON under way. Never valid. */
export class Unreadable {
  constructor(readonly text: string) {}
}

export type Flaw =
  | { key: "flawMissing" | "flawNumber" | "flawInteger" | "flawJson" | "flawPattern" | "flawType" }
  | { key: "flawShort" | "flawLong" | "flawSmall" | "flawLarge" | "flawFew" | "flawMany"; limit: number };

/** What a field begins with where there is no value yet. */
export function initial(field: Field): unknown {
  if (field.default !== undefined) return field.default;
  switch (field.kind) {
    case "text":
      return "";
    case "boolean":
      return false;
    case "constant":
      return field.value;
    case "list":
      return Array.from({ length: field.min }, () => initial(field.item));
    case "object":
      return Object.fromEntries(
        field.members.filter((each) => each.required).map(({ name, field: of }) => [name, initial(of)]),
      );
    default:
      return undefined;
  }
}

/** Whether everything in a value, however deep, is as its field wants it. */
export function isValid(field: Field, value: unknown, required = true): boolean {
  if (flawOf(field, value, required)) return false;
  if (value === undefined || value === null) return true;
  if (field.kind === "list") return (value as unknown[]).every((each) => isValid(field.item, each));
  if (field.kind === "object") {
    return field.members.every((each) =>
      isValid(each.field, (value as Record<string, unknown>)[each.name], each.required),
    );
  }
  return true;
}

/** What is wrong with a field's own value; what is in it has flaws of its own. */
export function flawOf(field: Field, value: unknown, required: boolean): Flaw | null {
  if (value === undefined) return required ? { key: "flawMissing" } : null;
  if (value instanceof Unreadable) return unreadable(field);
  if (value === null && field.nullable) return null;
  switch (field.kind) {
    case "text":
      return ofText(field, value, required);
    case "number":
      return ofNumber(field, value);
    case "boolean":
      return typeof value === "boolean" ? null : { key: "flawType" };
    case "choice":
      return field.options.some((each) => equal(each, value)) ? null : { key: "flawType" };
    case "constant":
      return equal(field.value, value) ? null : { key: "flawType" };
    case "list":
      return ofList(field, value);
    case "object":
      return ofObject(field, value);
    case "json":
      return null;
  }
}

function unreadable(field: Field): Flaw {
  if (field.kind !== "number") return { key: "flawJson" };
  return { key: field.integer ? "flawInteger" : "flawNumber" };
}

function ofText(field: TextField, value: unknown, required: boolean): Flaw | null {
  if (typeof value !== "string") return { key: "flawType" };
  const length = [...value].length;
  if (required && length === 0 && field.min > 0) return { key: "flawMissing" };
  if (length < field.min) return { key: "flawShort", limit: field.min };
  if (length > field.max) return { key: "flawLong", limit: field.max };
  return field.pattern === null || matches(field.pattern, value) ? null : { key: "flawPattern" };
}

/** A pattern that this browser cannot read says nothing: the service looks at the value as well. */
function matches(pattern: string, value: string): boolean {
  try {
    return new RegExp(pattern, "u").test(value);
  } catch {
    return true;
  }
}

function ofNumber(field: NumberField, value: unknown): Flaw | null {
  if (typeof value !== "number") return { key: "flawNumber" };
  if (field.integer && !Number.isInteger(value)) return { key: "flawInteger" };
  const { min, max } = field;
  if (min !== null && (field.above ? value <= min : value < min)) return { key: "flawSmall", limit: min };
  if (max !== null && (field.below ? value >= max : value > max)) return { key: "flawLarge", limit: max };
  return null;
}

function ofList(field: ListField, value: unknown): Flaw | null {
  if (!Array.isArray(value)) return { key: "flawType" };
  if (value.length < field.min) return { key: "flawFew", limit: field.min };
  return value.length > field.max ? { key: "flawMany", limit: field.max } : null;
}

function ofObject(_: ObjectField, value: unknown): Flaw | null {
  return value !== null && typeof value === "object" && !Array.isArray(value) ? null : { key: "flawType" };
}

/** Whether a form can show a value: a model may have written anything. */
export function canShow(field: Field, value: unknown): boolean {
  if (value === undefined || value instanceof Unreadable) return true;
  if (value === null) return field.nullable || field.kind === "json";
  switch (field.kind) {
    case "text":
      return typeof value === "string";
    case "number":
      return typeof value === "number";
    case "boolean":
      return typeof value === "boolean";
    case "list":
      return Array.isArray(value) && value.every((each) => canShow(field.item, each));
    case "object":
      return (
        ofObject(field, value) === null &&
        field.members.every((each) => canShow(each.field, (value as Record<string, unknown>)[each.name]))
      );
    default:
      return true;
  }
}

export const equal = (one: unknown, other: unknown) => JSON.stringify(one) === JSON.stringify(other);

/** Set a member of an object; undefined leaves it out. */
export function withMember(value: unknown, name: string, member: unknown): Record<string, unknown> {
  const { [name]: _, ...others } = (value ?? {}) as Record<string, unknown>;
  if (member === undefined) return others;
  // It stays where it was.
  return value && name in (value as object) ? { ...(value as object), [name]: member } : { ...others, [name]: member };
}
