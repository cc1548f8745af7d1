/** The checkpoints of a thread: page by page from the newest on, and new ones as they are made. */

import { useCallback, useEffect, useReducer, useRef } from "react";

import { Problem, post } from "../../api";
import type { ProtocolEvent } from "../../protocol";
import type { Feed } from "../../thread/feed";
import { type Checkpoint, LISTED, type ListedState, merge, ofEvent, ofState } from "./checkpoint";

export interface History {
  all: ReadonlyMap<string, Checkpoint>;
  /** Whether there are older ones. */
  more: boolean;
  loading: boolean;
  error: string | null;
  older: () => void;
  /** Look for new ones. */
  refresh: () => void;
}

const PAGE = 1_000;

interface State {
  all: ReadonlyMap<string, Checkpoint>;
  more: boolean;
  loading: boolean;
  error: string | null;
}

const nothing: State = { all: new Map(), more: false, loading: false, error: null };

export function useHistory(threadId: string | null, feed: Feed | null): History {
  const [state, change] = useReducer((before: State, how: (state: State) => State) => how(before), nothing);
  const listing = useRef<Listing | null>(null);
  useEffect(() => {
    change(() => nothing);
    if (threadId === null) return;
    const own = new Listing(threadId, change);
    listing.current = own;
    void own.newest();
    return () => own.leave();
  }, [threadId]);
  useEffect(() => feed?.subscribe((events) => listing.current?.take(events)), [feed]);
  const older = useCallback(() => void listing.current?.older(), []);
  const refresh = useCallback(() => void listing.current?.newest(), []);
  return { ...state, older, refresh };
}

interface Page {
  checkpoints: Checkpoint[];
  isFull: boolean;
}

/** Asks for pages, one at a time, and reads from the events what is new. */
class Listing {
  private readonly left = new AbortController();
  private oldest: string | null = null;
  private isAsking = false;
  private made: string[] = [];
  private all: ReadonlyMap<string, Checkpoint> = new Map();

  constructor(
    private readonly threadId: string,
    private readonly change: (how: (state: State) => State) => void,
  ) {}

  leave(): void {
    this.left.abort();
  }

  async newest(): Promise<void> {
    const isFirst = this.oldest === null;
    const page = await this.page(null, PAGE);
    if (!page) return;
    if (isFirst) this.remember(page);
    else this.put(page.checkpoints);
  }

  async older(): Promise<void> {
    if (this.isAsking || this.oldest === null) return;
    this.isAsking = true;
    this.change((state) => ({ ...state, loading: true }));
    const page = await this.page(this.oldest, PAGE);
    this.isAsking = false;
    if (page) this.remember(page);
  }

  take(events: readonly ProtocolEvent[]): void {
    const found: Checkpoint[] = [];
    let isEdited = false;
    let hasEnded = false;
    for (const event of events) {
      if (event.namespace.length > 0) continue;
      // What is of no run is an edit of the state, which has made a checkpoint.
      if (event.run === null && event.method === "values") isEdited = true;
      if (event.method === "lifecycle" && event.data.event !== "running") hasEnded = true;
      if (event.method === "tasks" && "result" in event.data) this.made.push(event.data.name);
      if (event.method !== "checkpoints") continue;
      found.push(ofEvent(event.data, [...new Set(this.made)]));
      this.made = [];
    }
    if (found.length) this.put(found);
    if (isEdited || (hasEnded && this.all.size === 0)) void this.newest();
  }

  /** A page, and whether there may be more after it. Null where it could not be had. */
  private async page(before: string | null, limit: number): Promise<Page | null> {
    const body = { limit, select: LISTED, ...(before ? { before: { checkpoint_id: before } } : {}) };
    const { signal } = this.left;
    try {
      const states = await post<ListedState[]>(`/threads/${this.threadId}/history`, body, { signal });
      if (signal.aborted) return null;
      return { checkpoints: states.map(ofState), isFull: states.length === limit };
    } catch (error) {
      if (signal.aborted) return null;
      // A new thread is there as soon as its first run begins.
      const isNew = error instanceof Problem && error.status === 404;
      this.change((state) => ({ ...state, loading: false, error: isNew ? null : (error as Error).message }));
      return null;
    }
  }

  private remember({ checkpoints, isFull }: Page): void {
    this.oldest = checkpoints.at(-1)?.id ?? this.oldest;
    this.put(checkpoints, { more: isFull, loading: false });
  }

  private put(checkpoints: readonly Checkpoint[], more: Partial<State> = {}): void {
    const all = (this.all = merge(this.all, checkpoints));
    this.change((state) => ({ ...state, all, error: null, ...more }));
  }
}
