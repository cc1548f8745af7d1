import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import type { ProtocolEvent } from "../src/protocol";
import { recordedText } from "./recorded";

// What the feed needs of a browser; there is none here.
const page = Object.assign(new EventTarget(), { hidden: false });
const store = { getItem: () => null, setItem: () => undefined, removeItem: () => undefined };
vi.stubGlobal("document", page);
vi.stubGlobal("window", new EventTarget());
vi.stubGlobal("sessionStorage", store);
vi.stubGlobal("localStorage", store);

const { Feed } = await import("../src/thread/feed");

const frames = recordedText("death").split(/(?<=\n\n)/).filter((frame) => frame.includes("data:"));
const encoder = new TextEncoder();

/** A service whose connections a test opens, feeds and breaks. */
class Service {
  asked: { since?: number }[] = [];
  private body: ReadableStreamDefaultController<Uint8Array> | null = null;
  status = 200;

  fetch = async (_path: string, init: RequestInit): Promise<Response> => {
    if (this.status === 0) throw new TypeError("Failed to fetch");
    this.asked.push(JSON.parse(String(init.body)));
    if (this.status !== 200) return new Response('{"detail":"no"}', { status: this.status });
    const body = new ReadableStream<Uint8Array>({ start: (controller) => void (this.body = controller) });
    const own = this.body;
    init.signal?.addEventListener("abort", () => own?.error(new DOMException("Aborted", "AbortError")));
    return new Response(body);
  };

  async send(...some: string[]): Promise<void> {
    for (const each of some) this.body?.enqueue(encoder.encode(each));
    await vi.advanceTimersByTimeAsync(0);
  }

  async break(): Promise<void> {
    this.body?.error(new TypeError("network error"));
    await vi.advanceTimersByTimeAsync(0);
  }
}

const seqs = (events: ProtocolEvent[]) => events.map((event) => event.seq);
const numbers = frames.map((frame) => Number(/"seq":(\d+)/.exec(frame)![1]));

describe("Feed", () => {
  let service: Service;
  let feed: InstanceType<typeof Feed>;
  let got: ProtocolEvent[];

  beforeEach(async () => {
    vi.useFakeTimers();
    service = new Service();
    vi.stubGlobal("fetch", service.fetch);
    feed = new Feed("thread");
    got = [];
    feed.subscribe((events) => got.push(...events));
    await vi.advanceTimersByTimeAsync(0);
  });

  afterEach(() => {
    feed.close();
    vi.useRealTimers();
  });

  it("follows from the beginning, and tells each event", async () => {
    expect(service.asked).toHaveLength(1);
    expect(service.asked[0]!.since).toBeUndefined();
    await service.send(...frames);
    expect(seqs(got)).toEqual(numbers);
    expect(feed.connection.get()).toBe("open");
  });

  it("comes back after the event that it got last, and misses nothing", async () => {
    await service.send(...frames.slice(0, 30), frames[30]!.slice(0, 40)); // broken off in a frame
    await service.break();
    expect(feed.connection.get()).toBe("away");
    await vi.advanceTimersByTimeAsync(300);
    expect(service.asked.at(-1)!.since).toBe(numbers[29]);
    await service.send(...frames.slice(30));
    expect(seqs(got)).toEqual(numbers);
  });

  it("does not tell an event twice, whatever the service sends again", async () => {
    await service.send(...frames.slice(0, 30));
    await service.break();
    await vi.advanceTimersByTimeAsync(300);
    await service.send(...frames.slice(20));
    expect(seqs(got)).toEqual(numbers);
  });

  it("tries again, ever more seldom, while the service is away", async () => {
    service.status = 0;
    await service.break();
    await vi.advanceTimersByTimeAsync(20_000);
    expect(feed.connection.get()).toBe("away");
    service.status = 200;
    await vi.advanceTimersByTimeAsync(5_000);
    expect(feed.connection.get()).toBe("open");
  });

  it("ends where the thread is gone", async () => {
    service.status = 404;
    await service.break();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(feed.connection.get()).toBe("gone");
    expect(service.asked).toHaveLength(2);
  });

  it("asks anew at once when the page was hidden for long: the connection may be dead", async () => {
    await service.send(...frames.slice(0, 30));
    page.hidden = true;
    page.dispatchEvent(new Event("visibilitychange"));
    await vi.advanceTimersByTimeAsync(17_000);
    expect(service.asked).toHaveLength(1);
    page.hidden = false;
    page.dispatchEvent(new Event("visibilitychange"));
    await vi.advanceTimersByTimeAsync(0);
    expect(service.asked).toHaveLength(2);
    expect(service.asked.at(-1)!.since).toBe(numbers[29]);
    await service.send(...frames.slice(30));
    expect(seqs(got)).toEqual(numbers);
  });

  it("takes a connection for dead on which not even a heartbeat comes", async () => {
    await service.send(...frames.slice(0, 30));
    for (let beat = 0; beat < 10; beat += 1) {
      await vi.advanceTimersByTimeAsync(5_000);
      await service.send(": heartbeat\n\n");
    }
    expect(service.asked).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(21_000);
    expect(service.asked).toHaveLength(2);
    expect(service.asked.at(-1)!.since).toBe(numbers[29]);
  });

  it("tells who comes late what the newest run has told", async () => {
    await service.send(...frames);
    const late: ProtocolEvent[] = [];
    feed.subscribe((events) => late.push(...events));
    expect(seqs(late)).toEqual(numbers);
  });

  it("keeps what a run has told before its process was killed", async () => {
    const killed = recordedText("killed").split(/(?<=\n\n)/).filter((frame) => frame.includes("data:"));
    await service.send(...killed);
    const late: ProtocolEvent[] = [];
    feed.subscribe((events) => late.push(...events));
    expect(seqs(late)).toEqual(seqs(got));
  });

  it("keeps the beginning and the newest part of a run of very many events, or of very large ones", async () => {
    const told = (seq: number, method: string, data: unknown) => {
      const event = { event_id: `run.1-1.${seq}`, seq, method, params: { namespace: [], timestamp: seq, data } };
      return `event: ${method}\ndata: ${JSON.stringify(event)}\n\n`;
    };
    for (const [count, size] of [[24_000, 1], [16, 3_000_000]] as const) {
      feed.close();
      feed = new Feed("thread");
      await vi.advanceTimersByTimeAsync(0);
      const text = "x".repeat(size);
      await service.send(told(1, "lifecycle", { event: "running" }));
      for (let at = 2; at < count; at += 1_000) {
        const some = Array.from({ length: Math.min(1_000, count - at) }, (_, more) => told(at + more, "values", { text }));
        await service.send(some.join(""));
      }
      await service.send(told(count, "lifecycle", { event: "completed" }));
      const late: ProtocolEvent[] = [];
      feed.subscribe((events) => late.push(...events));
      expect(late[0]).toMatchObject({ seq: 1, data: { event: "running" } });
      expect(late.at(-1)).toMatchObject({ seq: count, data: { event: "completed" } });
      expect(late.length).toBeLessThanOrEqual(20_000);
      expect(JSON.stringify(late).length).toBeLessThan(35_000_000);
      expect(seqs(late).slice(1)).toEqual(Array.from({ length: late.length - 1 }, (_, at) => count - late.length + 2 + at));
    }
  }, 60_000);
});
