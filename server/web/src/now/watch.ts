/** Follows `/api/now/stream` while somebody looks: a hidden tab asks for nothing. */

import { Problem, stream } from "../api";
import { create } from "../store";
import { type Seen, readNews, take } from "./state";

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 5_000;

export type Status = "connecting" | "open" | "away" | "refused" | "absent";

export const seen = create<Seen | null>(null);
export const status = create<Status>("connecting");

/** Watch from now on, whenever the tab is visible. Returns how to end it. */
export function watch(): () => void {
  let following: AbortController | null = null;
  const look = () => {
    following?.abort();
    following = null;
    if (document.hidden) return;
    following = new AbortController();
    void follow(following.signal);
  };
  document.addEventListener("visibilitychange", look);
  look();
  return () => {
    document.removeEventListener("visibilitychange", look);
    following?.abort();
  };
}

async function follow(signal: AbortSignal): Promise<void> {
  let pause = FIRST_PAUSE;
  status.set("connecting");
  while (!signal.aborted) {
    try {
      for await (const frame of stream("GET", "/api/now/stream", { signal })) {
        pause = FIRST_PAUSE;
        const news = readNews(frame);
        if (signal.aborted) return;
        if (news) seen.update((before) => take(before, news, Date.now()));
        status.set("open");
      }
    } catch (error) {
      const said = signal.aborted ? null : statusOf(error);
      if (said) return status.set(said);
    }
    if (signal.aborted) return;
    status.set("away");
    await sleep(pause, signal);
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }
}

/** What ends the watching; null for what may pass. */
function statusOf(error: unknown): Status | null {
  if (!(error instanceof Problem)) return null;
  if (error.status === 401 || error.status === 403) return "refused";
  return error.status === 404 ? "absent" : null;
}

function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
