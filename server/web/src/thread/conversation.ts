/** A thread that is open: what the service stores of it, and what its feed tells, drawn once a frame. */

import { Problem, get } from "../api";
import type { ProtocolEvent } from "../protocol";
import { type Store, create } from "../store";
import type { Feed } from "./feed";
import { isNewer, opened, reduceAll } from "./reducer";
import { EMPTY, type StoredState, type ThreadState } from "./state";

const QUIET = 40; // milliseconds without an event: what was told from the past is complete
const LONGEST = 400; // milliseconds in which nothing is drawn at all
const BEHIND = 250; // milliseconds after which is drawn without a frame, too

interface Row {
  status: string;
  error?: unknown;
}

export class Conversation {
  readonly state: Store<ThreadState> = create(EMPTY);
  /** Whether there is something to show. */
  readonly ready = create(false);
  private waiting: ProtocolEvent[] = [];
  private scheduled = false;
  private settling: number | null = null;
  private readonly since = performance.now();
  private readonly leave: () => void;
  /** The state as it was read last, while no run was under way. */
  private read: { stored: StoredState; status: string } | null = null;
  private ended = false;

  /** `fresh`: the thread has just been made here, so that its first words are drawn at once. */
  constructor(
    private readonly feed: Feed,
    private readonly fresh: boolean,
  ) {
    if (fresh) this.ready.set(true);
    const leave = feed.subscribe((events) => this.take(events));
    // Of an edit of the state nothing is told to who comes back after it.
    const leaveReached = feed.reached.subscribe(() => void (feed.reached.get() > 1 && this.load(false)));
    this.leave = () => (leave(), leaveReached());
    void this.load(false);
  }

  close(): void {
    this.ended = true;
    if (this.settling !== null) clearTimeout(this.settling);
    this.leave();
  }

  /** Read the stored state. With `anew` it counts more than what the stream has told. */
  async load(anew: boolean): Promise<void> {
    const path = `/threads/${this.feed.threadId}`;
    try {
      const [row, stored] = await Promise.all([get<Row>(path), get<StoredState>(`${path}/state`)]);
      if (this.ended || (anew && this.state.get().phase === "busy")) return;
      this.read = row.status === "busy" ? null : { stored, status: row.status };
      this.state.update((state) => this.edited(opened(state, stored, row.status, anew)));
    } catch (error) {
      if (!(error instanceof Problem) && !this.ended) setTimeout(() => void this.load(anew), 1000);
    } finally {
      if (!this.ended) this.ready.set(true);
    }
  }

  /** The events of a run that was over come again to who opens a thread: an edit after it counts more. */
  private edited(state: ThreadState): ThreadState {
    const { read } = this;
    return read && isNewer(state, read.stored) ? opened(state, read.stored, read.status, true) : state;
  }

  private take(events: ProtocolEvent[]): void {
    this.waiting.push(...events);
    if (!this.fresh && performance.now() - this.since < LONGEST) return this.settle();
    this.schedule();
  }

  /** A thread that is opened is told its newest run in a moment: only its end is drawn. */
  private settle(): void {
    if (this.settling !== null) clearTimeout(this.settling);
    const left = LONGEST - (performance.now() - this.since);
    this.settling = window.setTimeout(() => this.draw(), Math.min(QUIET, left));
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    // A tab that nobody sees has no frames.
    const due = () => void (this.scheduled && this.draw());
    requestAnimationFrame(due);
    setTimeout(due, BEHIND);
  }

  private draw(): void {
    this.scheduled = false;
    if (this.ended) return;
    const events = this.waiting;
    this.waiting = [];
    const before = this.state.get();
    const after = this.edited(reduceAll(before, events));
    this.state.set(after);
    if (endsWithoutAnswer(before, after)) void this.load(true);
  }
}

/** A run that was cancelled may have been rolled back: the stream does not say to where. */
function endsWithoutAnswer(before: ThreadState, after: ThreadState): boolean {
  const ends = after.phase === "idle" && after.run?.ended != null && before.run?.ended !== after.run.ended;
  return ends && after.stored.at(-1)?.type !== "ai";
}
