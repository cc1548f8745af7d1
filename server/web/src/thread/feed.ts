/** One thread's events, for as many parts of the page as want them, over one connection. */

import { Problem, stream } from "../api";
import { Patience, sleep } from "../patience";
import { create } from "../store";
import { type ProtocolEvent, readEvent } from "../protocol";
import { onWake } from "./wake";

const CHANNELS = ["lifecycle", "messages", "values", "tasks", "tools", "checkpoints", "input", "custom"];
const MAX_KEPT = 20_000; // events
const MAX_KEPT_SIZE = 32_000_000; // characters: states of long threads may have megabytes
const FIRST_PAUSE = 250; // milliseconds
const LONGEST_PAUSE = 5_000;
const SILENCE = 20_000; // the service sends a heartbeat every five seconds: the connection is dead

export type Connection = "connecting" | "open" | "away" | "gone";
type Listener = (events: ProtocolEvent[]) => void;

/**
 * Follows a thread from its run under way, or from its newest run, and comes back after the event
 * that was got last. Who subscribes late is given what came since the newest run began; of a very
 * long run its beginning and the newest part.
 */
export class Feed {
  readonly connection = create<Connection>("connecting");
  /** How often the service was reached. */
  readonly reached = create(0);
  private kept: { event: ProtocolEvent; size: number }[] = [];
  private keptSize = 0;
  private run: string | null = null;
  private seq: number | null = null;
  private readonly listeners = new Set<Listener>();
  private readonly ended = new AbortController();
  private current = new AbortController();
  private readonly stopWaking: () => void;

  constructor(readonly threadId: string) {
    this.stopWaking = onWake(() => this.current.abort());
    void this.follow();
  }

  /** The listener is called at once with what is known. Returns how to leave. */
  subscribe(listener: Listener): () => void {
    this.listeners.add(listener);
    if (this.kept.length) listener(this.kept.map(({ event }) => event));
    return () => void this.listeners.delete(listener);
  }

  close(): void {
    this.stopWaking();
    this.ended.abort();
    this.current.abort();
    this.listeners.clear();
  }

  private async follow(): Promise<void> {
    let pause = FIRST_PAUSE;
    while (!this.ended.signal.aborted) {
      this.current = new AbortController();
      try {
        await this.read(() => {
          pause = FIRST_PAUSE;
          this.connection.set("open");
          this.reached.update((times) => times + 1);
        });
      } catch (error) {
        if (this.ended.signal.aborted) return;
        if (error instanceof Problem && [403, 404].includes(error.status)) {
          this.connection.set("gone");
          return;
        }
      }
      if (this.current.signal.aborted) continue; // the browser was asleep: ask again at once
      this.connection.set("away");
      await sleep(pause, this.current.signal);
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    }
  }

  private async read(opened: () => void): Promise<void> {
    const body = { channels: CHANNELS, ...(this.seq === null ? {} : { since: this.seq }) };
    const path = `/threads/${this.threadId}/stream/events`;
    const { signal } = this.current;
    const { heard, end } = new Patience(this.current, SILENCE);
    try {
      // The service answers its headers at once: what `stream` yields comes when something happens.
      for await (const frame of stream("POST", path, { body, signal, opened, heard })) {
        this.take(readEvent(frame.data), frame.data.length);
      }
    } finally {
      end();
    }
  }

  private take(event: ProtocolEvent, size: number): void {
    // An event that was got already, on the connection before, is not told twice.
    if (event.seq !== null && this.seq !== null && event.seq <= this.seq) return;
    if (event.seq !== null) this.seq = event.seq;
    // A run that begins anew after its process has died is still the same run.
    if (isBegin(event) && event.run !== this.run) {
      this.run = event.run;
      this.kept = [];
      this.keptSize = 0;
    }
    this.keep(event, size);
    for (const listener of [...this.listeners]) listener([event]);
  }

  /** The newest say how the run stands, and its end: where there are too many, older ones go. */
  private keep(event: ProtocolEvent, size: number): void {
    this.kept.push({ event, size });
    this.keptSize += size;
    if (this.kept.length <= MAX_KEPT && this.keptSize <= MAX_KEPT_SIZE) return;
    const [begin, ...others] = this.kept;
    let left = this.keptSize;
    const from = others.findIndex((each, at) => {
      const few = others.length - at <= MAX_KEPT / 2 && left <= MAX_KEPT_SIZE / 2;
      left -= each.size;
      return few;
    });
    this.kept = [begin!, ...(from < 0 ? others.slice(-1) : others.slice(from))];
    this.keptSize = this.kept.reduce((sum, each) => sum + each.size, 0);
  }
}

const isBegin = ({ method, namespace, data }: ProtocolEvent) =>
  method === "lifecycle" && namespace.length === 0 && data.event === "running";
