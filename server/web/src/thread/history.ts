/** The checkpoints of a thread, as far as they were asked for, and how many messages each has. */

import { get, post } from "../api";
import { type Checkpoint, Tree, before, making } from "./branches";

const FIELDS = ["checkpoint_id", "parent_checkpoint_id", "metadata"];
const [NEWS, PAGE] = [50, 1_000]; // the service reads no state for these fields

interface Row {
  checkpoint_id: string;
  parent_checkpoint_id: string | null;
  metadata: { source?: string } | null;
}

export class History {
  private readonly known = new Map<string, Checkpoint>();
  private readonly counts = new Map<string, number>();
  private oldest: string | null = null;
  private complete = false;

  constructor(private readonly threadId: string) {}

  get tree(): Tree {
    return new Tree(this.known.values());
  }

  /** Read what is newer than what is known. */
  async refresh(): Promise<void> {
    if (this.oldest === null) return this.older();
    // Only what is new: until something is met that is known.
    for (let before: string | null = null; ; ) {
      const known = new Set(this.known.keys());
      const rows = await this.page(NEWS, before);
      if (rows.length < NEWS || rows.some((row) => known.has(row.checkpoint_id))) return;
      before = rows.at(-1)!.checkpoint_id;
    }
  }

  /** How many messages the states of some checkpoints have. */
  async count(ids: string[]): Promise<ReadonlyMap<string, number>> {
    await Promise.all(ids.map((id) => this.countOf(id)));
    return this.counts;
  }

  /**
   * From where the message at a place of the state is asked otherwise (`edit`), or made anew.
   *
   * @param shown the end of the branch that is shown; null is the newest.
   */
  async forkOf(shown: string | null, index: number, edit: boolean): Promise<string | null> {
    const leaf = shown ?? (await this.newest());
    if (leaf === null) return null;
    if (this.oldest === null || !this.tree.has(leaf)) await this.refresh();
    while (!this.complete && (!this.tree.has(leaf) || !(await this.reaches(leaf, index)))) await this.older();
    const path = this.tree.path(leaf);
    const counts = await this.countsAround(path, index);
    return edit ? before(path, index, counts) : making(path, index, counts);
  }

  private async reaches(leaf: string, index: number): Promise<boolean> {
    const path = this.tree.path(leaf);
    if (this.tree.isWhole(leaf)) return true;
    const first = path.find(({ source }) => source !== "input");
    return first !== undefined && (await this.countOf(first.id)) < index;
  }

  /** States grow along a path: only those next to the message are read, found by halving. */
  private async countsAround(path: Checkpoint[], index: number): Promise<number[]> {
    let [low, high] = [0, path.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((await this.countOf(path[middle]!.id)) <= index) low = middle + 1;
      else high = middle;
    }
    // `low` is the first with the message: those before it have at most `index` messages.
    const counts = path.map((_, at) => (at < low ? -1 : index + 1));
    for (let at = low - 1; at >= 0; at -= 1) {
      counts[at] = await this.countOf(path[at]!.id);
      if (counts[at]! < index) break;
    }
    return counts;
  }

  private async countOf(id: string): Promise<number> {
    const known = this.counts.get(id);
    if (known !== undefined) return known;
    const path = `/threads/${this.threadId}/state/${id}?select=values.messages`;
    const { values } = await get<{ values: { messages?: unknown[] } }>(path);
    const count = values.messages?.length ?? 0;
    this.counts.set(id, count);
    return count;
  }

  private async newest(): Promise<string | null> {
    const path = `/threads/${this.threadId}/state?select=checkpoint_id`;
    return (await get<{ checkpoint_id: string | null }>(path)).checkpoint_id;
  }

  private async older(): Promise<void> {
    this.reached(await this.page(PAGE, this.oldest), PAGE);
  }

  private reached(rows: Row[], limit: number): void {
    this.oldest = rows.at(-1)?.checkpoint_id ?? this.oldest;
    this.complete = rows.length < limit;
  }

  private async page(limit: number, before: string | null): Promise<Row[]> {
    const where = before === null ? {} : { before: { checkpoint_id: before } };
    const body = { limit, select: FIELDS, ...where };
    const rows = await post<Row[]>(`/threads/${this.threadId}/history`, body);
    for (const { checkpoint_id: id, parent_checkpoint_id: parent, metadata } of rows) {
      this.known.set(id, { id, parent, source: metadata?.source ?? "" });
    }
    return rows;
  }
}
