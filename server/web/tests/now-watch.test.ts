import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

const page = Object.assign(new EventTarget(), { hidden: false });
const none = { getItem: () => null, setItem: () => undefined, removeItem: () => undefined };
vi.stubGlobal("document", page);
vi.stubGlobal("window", new EventTarget());
vi.stubGlobal("sessionStorage", none);
vi.stubGlobal("localStorage", none);

const { status, watch } = await import("../src/now/watch");

describe("watching what the service does", () => {
  let bodies: ReadableStreamDefaultController<Uint8Array>[];
  let answer: number;
  let end: () => void;

  const tick = async () => {
    bodies.at(-1)?.enqueue(new TextEncoder().encode("event: other\ndata: {}\n\n"));
    await vi.advanceTimersByTimeAsync(1_000);
  };

  beforeEach(async () => {
    vi.useFakeTimers();
    page.hidden = false;
    [bodies, answer] = [[], 200];
    vi.stubGlobal("fetch", async (_: string, { signal }: RequestInit) => {
      if (answer !== 200) return new Response("{}", { status: answer });
      const body = new ReadableStream<Uint8Array>({ start: (controller) => void bodies.push(controller) });
      const own = bodies.at(-1)!;
      signal?.addEventListener("abort", () => own.error(new DOMException("Aborted", "AbortError")));
      return new Response(body);
    });
    end = watch();
    await tick();
  });

  afterEach(() => {
    end();
    vi.useRealTimers();
  });

  it("goes on as long as something comes", async () => {
    for (let second = 0; second < 60; second += 1) await tick();
    expect(bodies).toHaveLength(1);
    expect(status.get()).toBe("open");
  });

  it("takes a connection for dead on which nothing comes, and asks again", async () => {
    await vi.advanceTimersByTimeAsync(14_000);
    expect(bodies).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(bodies).toHaveLength(2);
    await tick();
    expect(status.get()).toBe("open");
  });

  it("asks for nothing while nobody sees the tab", async () => {
    page.hidden = true;
    page.dispatchEvent(new Event("visibilitychange"));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(bodies).toHaveLength(1);
    page.hidden = false;
    page.dispatchEvent(new Event("visibilitychange"));
    await vi.advanceTimersByTimeAsync(0);
    expect(bodies.length).toBeGreaterThan(1);
  });

  it("ends where the caller may not look", async () => {
    answer = 403;
    bodies.at(-1)!.close();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(status.get()).toBe("refused");
    expect(bodies).toHaveLength(1);
  });
});
