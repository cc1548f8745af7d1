/** Follows `/api/now/stream` while somebody looks: a hidden tab asks for nothing. */

import { Problem, stream } from "../api";
import { Patience, sleep } from "../patience";
import { create } from "../store";
import { onWake } from "../thread/wake";
import { type Seen, readNews, take } from "./state";

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 5_000;
const SILENCE = 15_000; // something comes every second: the connection is dead

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
  const stopWaking = onWake(look); // the connection may have died in the machine's sleep
  document.addEventListener("visibilitychange", look);
  look();
  return () => {
    stopWaking();
    document.removeEventListener("visibilitychange", look);
    following?.abort();
  };
}

async function follow(signal: AbortSignal): Promise<void> {
  let pause = FIRST_PAUSE;
  status.set("connecting");
  while (!signal.aborted) {
    try {
      await read(signal, () => (pause = FIRST_PAUSE));
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

/** Read one connection to its end. */
async function read(ended: AbortSignal, came: () => void): Promise<void> {
  const connection = new AbortController();
  const signal = AbortSignal.any([ended, connection.signal]);
  const { heard, end } = new Patience(connection, SILENCE);
  try {
    for await (const frame of stream("GET", "/api/now/stream", { signal, heard })) {
      came();
      const news = readNews(frame);
      if (signal.aborted) return;
      if (news) seen.update((before) => take(before, news, Date.now()));
      status.set("open");
    }
  } finally {
    end();
  }
}

/** What ends the watching; null for what may pass. */
function statusOf(error: unknown): Status | null {
  if (!(error instanceof Problem)) return null;
  if (error.status === 401 || error.status === 403) return "refused";
  return error.status === 404 ? "absent" : null;
}
