/** What has changed from one state to another: by channel, messages as messages. */

import type { Message } from "../../protocol";

export type Values = Record<string, unknown>;

export type Change =
  | { kind: "added"; path: string; after: unknown }
  | { kind: "removed"; path: string; before: unknown }
  | { kind: "changed"; path: string; before: unknown; after: unknown };

/** Shown whole beyond this depth. */
const DEEPEST = 6;

export function difference(before: Values, after: Values): Change[] {
  return ofObjects(before, after, "", 0);
}

function ofValues(before: unknown, after: unknown, path: string, depth: number): Change[] {
  if (same(before, after)) return [];
  if (depth < DEEPEST) {
    if (areMessages(before, after)) return ofMessages(before as Message[], after as Message[], path);
    if (Array.isArray(before) && Array.isArray(after)) return ofLists(before, after, path, depth);
    if (isObject(before) && isObject(after)) return ofObjects(before, after, path, depth);
  }
  return [{ kind: "changed", path, before, after }];
}

function ofObjects(before: Values, after: Values, path: string, depth: number): Change[] {
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...keys].flatMap((key): Change[] => {
    const inside = path ? `${path}.${key}` : key;
    if (!(key in before)) return added(after[key], inside);
    if (!(key in after)) return [{ kind: "removed", path: inside, before: before[key] }];
    return ofValues(before[key], after[key], inside, depth + 1);
  });
}

/** Messages that are new are shown one by one. */
function added(after: unknown, path: string): Change[] {
  if (areMessages([], after)) return ofMessages([], after as Message[], path);
  return [{ kind: "added", path, after }];
}

/** Parts that both lists begin or end with are passed over. */
function ofLists(before: unknown[], after: unknown[], path: string, depth: number): Change[] {
  let first = 0;
  while (first < before.length && first < after.length && same(before[first], after[first])) first += 1;
  let last = 0;
  const most = Math.min(before.length, after.length) - first;
  while (last < most && same(before[before.length - 1 - last], after[after.length - 1 - last])) last += 1;
  const [gone, come] = [before.slice(first, before.length - last), after.slice(first, after.length - last)];
  const length = Math.max(gone.length, come.length);
  return Array.from({ length }, (_, index): Change[] => {
    const at = `${path}[${first + index}]`;
    if (index >= gone.length) return [{ kind: "added", path: at, after: come[index] }];
    if (index >= come.length) return [{ kind: "removed", path: at, before: gone[index] }];
    return ofValues(gone[index], come[index], at, depth + 1);
  }).flat();
}

/** Messages are known by their ids, wherever they stand. */
function ofMessages(before: Message[], after: Message[], path: string): Change[] {
  const old = new Map(before.map((message) => [message.id, message]));
  const kept = new Set(after.map(({ id }) => id));
  const gone = before.filter(({ id }) => !kept.has(id));
  return [
    ...gone.map((message): Change => ({ kind: "removed", path, before: message })),
    ...after.flatMap((message): Change[] => {
      const known = old.get(message.id);
      if (!known) return [{ kind: "added", path, after: message }];
      return same(known, message) ? [] : [{ kind: "changed", path, before: known, after: message }];
    }),
  ];
}

const areMessages = (...lists: unknown[]) =>
  lists.every((list) => Array.isArray(list) && list.every(isMessage)) &&
  lists.some((list) => (list as unknown[]).length > 0);

export const isMessage = (value: unknown): value is Message =>
  isObject(value) && typeof value.type === "string" && typeof value.id === "string" && "content" in value;

export const isObject = (value: unknown): value is Values =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export function same(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((each, index) => same(each, b[index]));
  }
  if (!isObject(a) || !isObject(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => key in b && same(a[key], b[key]));
}
