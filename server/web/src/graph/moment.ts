/** The moment that is in an id: checkpoints have UUIDs of version 6, runs of version 7. */

const BEFORE_1970 = 0x01b21dd213814000n; // version 6 counts in 100 ns from 15 October 1582
const FORM = /^([0-9a-f]{8})-([0-9a-f]{4})-([67])([0-9a-f]{3})-/i;

/** In ms since the epoch; null of an id of another form. */
export function momentOf(id: string): number | null {
  const found = FORM.exec(id);
  if (!found) return null;
  const [, high, mid, version, low] = found;
  if (version === "7") return Number.parseInt(`${high}${mid}`, 16);
  return Number((BigInt(`0x${high}${mid}${low}`) - BEFORE_1970) / 10_000n);
}
