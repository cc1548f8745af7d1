/** The branches of a thread: which checkpoints follow which, and where a message has siblings. */

export interface Checkpoint {
  id: string;
  parent: string | null;
  source: string;
}

/** Another way that the thread has gone, or could be shown to go: by the end of each. */
export interface Switch {
  leaves: string[];
  current: number;
}

/** Ids of checkpoints grow with time: the newest is the greatest. */
const newest = (ids: string[]) => ids.reduce((one, other) => (other > one ? other : one));

export class Tree {
  private readonly byId: Map<string, Checkpoint>;
  private readonly children = new Map<string, string[]>();

  constructor(checkpoints: Iterable<Checkpoint>) {
    this.byId = new Map([...checkpoints].map((each) => [each.id, each]));
    for (const { id, parent } of this.byId.values()) {
      if (parent === null) continue;
      this.children.set(parent, [...(this.children.get(parent) ?? []), id].sort());
    }
  }

  get head(): string | null {
    return this.byId.size ? newest([...this.byId.keys()]) : null;
  }

  has(id: string): boolean {
    return this.byId.has(id);
  }

  /** From the first known checkpoint to this one. */
  path(leaf: string): Checkpoint[] {
    const path: Checkpoint[] = [];
    for (let at = this.byId.get(leaf); at; at = at.parent === null ? undefined : this.byId.get(at.parent)) {
      path.push(at);
    }
    return path.reverse();
  }

  /** Whether all that came before is known. */
  isWhole(leaf: string): boolean {
    return this.path(leaf)[0]?.parent === null;
  }

  /** The newest checkpoint that has come of this one. */
  leafOf(id: string): string {
    const below: string[] = [id];
    for (const each of below) below.push(...(this.children.get(each) ?? []));
    return newest(below);
  }

  /** The checkpoints of a path from which more than one way goes on. */
  forks(leaf: string): string[] {
    return this.path(leaf).flatMap(({ id }) => ((this.children.get(id)?.length ?? 0) > 1 ? [id] : []));
  }

  /**
   * Where the messages of a path have siblings, by their places in the state.
   *
   * @param counts how many messages the state of each fork has: the next one is what differs.
   */
  switches(leaf: string, counts: ReadonlyMap<string, number>): Map<number, Switch> {
    const path = new Set(this.path(leaf).map(({ id }) => id));
    const ways = new Map<number, { others: string[]; own: string }>();
    for (const fork of this.forks(leaf)) {
      const index = counts.get(fork);
      if (index === undefined) continue;
      const next = this.children.get(fork) ?? [];
      const own = next.find((id) => path.has(id));
      if (own === undefined) continue;
      const others = next.filter((id) => id !== own);
      ways.set(index, { others: [...(ways.get(index)?.others ?? []), ...others], own });
    }
    return new Map([...ways].map(([index, { others, own }]) => [index, this.ordered(others, own, leaf)]));
  }

  private ordered(others: string[], own: string, leaf: string): Switch {
    const ids = [...others, own].sort();
    return { leaves: ids.map((id) => (id === own ? leaf : this.leafOf(id))), current: ids.indexOf(own) };
  }
}

/**
 * The checkpoint after which the thread goes on when the message at `index` is asked otherwise: the
 * last one before it. What only holds an input that has not begun is passed over, but for the first.
 */
export function before(path: Checkpoint[], index: number, counts: number[]): string | null {
  for (let at = path.length - 1; at >= 0; at -= 1) {
    const fits = (counts[at] ?? 0) <= index && (path[at]!.source !== "input" || at === 0);
    if (fits) return path[at]!.id;
  }
  return null;
}

/** The checkpoint from which the message at `index` is made anew: the first with all before it. */
export function making(path: Checkpoint[], index: number, counts: number[]): string | null {
  const at = counts.findIndex((count) => count >= index);
  return at < 0 ? null : (path[at]?.id ?? null);
}
