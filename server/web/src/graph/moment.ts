/** The moment that is in a checkpoint's id: a UUID of version 6, which begins with its time. */

const BEFORE_1970 = 0x01b21dd213814000n; // in 100 ns from 15 October 1582

/** In ms since the epoch; null of an id of another form. */
export function momentOf(id: string): number | null {
  const found = /^([0-9a-f]{8})-([0-9a-f]{4})-6([0-9a-f]{3})-/i.exec(id);
  if (!found) return null;
  const [, high, mid, low] = found;
  return Number((BigInt(`0x${high}${mid}${low}`) - BEFORE_1970) / 10_000n);
}
