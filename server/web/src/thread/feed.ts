/** One thread's events, for as many parts of the page as want them, over one connection. */

import { Problem, stream } from "../api";
import { create } from "../store";
import { type ProtocolEvent, readEvent } from "../protocol";

const CHANNELS = [
  ...["lifecycle", "messages", "values", "tasks", "tools", "checkpoints", "input", "custom"],
];
const MAX_KEPT = 20_000;
const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 5_000;

export type Connection = "connecting" | "open" | "away" | "gone";
type Listener = (events: ProtocolEvent[]) => void;

/**
 * Follows a thread from its run under way, or from its newest run, and comes back after the event
 * that was got last. Who subscribes late is given what came since the newest run began.
 */
export class Feed {
  readonly connection = create<Connection>("connecting");
  private kept: ProtocolEvent[] = [];
  private seq: number | null = null;
  private readonly listeners = new Set<Listener>();
  private readonly ended = new AbortController();

  constructor(readonly threadId: string) {
    void this.follow();
  }

  /** The listener is called at once with what is known. Returns how to leave. */
  subscribe(listener: Listener): () => void {
    this.listeners.add(listener);
    if (this.kept.length) listener(this.kept);
    return () => void this.listeners.delete(listener);
  }

  close(): void {
    this.ended.abort();
    this.listeners.clear();
  }

  private async follow(): Promise<void> {
    let pause = FIRST_PAUSE;
    while (!this.ended.signal.aborted) {
      try {
        await this.read(() => {
          pause = FIRST_PAUSE;
          this.connection.set("open");
        });
      } catch (error) {
        if (this.ended.signal.aborted) return;
        if (error instanceof Problem && [401, 403, 404].includes(error.status)) {
          this.connection.set("gone");
          return;
        }
      }
      this.connection.set("away");
      await sleep(pause, this.ended.signal);
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    }
  }

  private async read(opened: () => void): Promise<void> {
    const body = { channels: CHANNELS, ...(this.seq === null ? {} : { since: this.seq }) };
    const path = `/threads/${this.threadId}/stream/events`;
    const { signal } = this.ended;
    // The service answers its headers at once: what `stream` yields comes when something happens.
    for await (const frame of stream("POST", path, { body, signal, opened })) {
      this.take([readEvent(frame.data)]);
    }
  }

  private take(events: ProtocolEvent[]): void {
    for (const event of events) {
      if (event.seq !== null) this.seq = event.seq;
      if (isBegin(event)) this.kept = [];
      if (this.kept.length < MAX_KEPT) this.kept.push(event);
    }
    for (const listener of [...this.listeners]) listener(events);
  }
}

const isBegin = ({ method, namespace, data }: ProtocolEvent) =>
  method === "lifecycle" && namespace.length === 0 && data.event === "running";

function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
