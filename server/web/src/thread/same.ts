/** Whether two values of JSON are equal. */
export function same(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true;
  if (typeof one !== "object" || typeof other !== "object" || !one || !other) return false;
  if (Array.isArray(one) !== Array.isArray(other)) return false;
  const left = one as Record<string, unknown>;
  const right = other as Record<string, unknown>;
  const keys = Object.keys(left);
  return keys.length === Object.keys(right).length && keys.every((key) => same(left[key], right[key]));
}

/** The new list, with the old objects where they say the same: what is drawn by them stays. */
export function kept<T extends { id: string | null }>(old: T[], next: T[]): T[] {
  const known = new Map(old.map((each) => [each.id, each]));
  const list = next.map((each) => {
    const before = known.get(each.id);
    return before && same(before, each) ? before : each;
  });
  return list.length === old.length && list.every((each, i) => each === old[i]) ? old : list;
}
