/**
 * Keeps the list of threads true without asking all the time. It is asked for again when the tab is
 * looked at again, when a run of the open thread begins or ends, when another tab of the page has
 * changed something, and every few seconds while the tab is visible and a listed thread is busy.
 */

import { useEffect } from "react";

import { useValue } from "../store";
import { useFeed } from "../thread/open";
import { isAnyBusy } from "./list";
import { firstMessages, list, refresh } from "./loading";

const PAUSE = 3_000;

const others = new BroadcastChannel("everturn.threads");
others.onmessage = () => void refresh();

/** Say to this tab and to the others that a thread has changed. */
export function changed(): void {
  others.postMessage("changed");
  void refresh();
}

/** A thread was made here by its first message: it is listed at once. */
export function began(threadId: string, text: string): void {
  if (text) firstMessages.update((known) => ({ ...known, [threadId]: text }));
  changed();
}

export function useLiveThreads(openThread: string | null): void {
  const feed = useFeed(openThread);
  const busy = isAnyBusy(useValue(list));

  useEffect(() => {
    void refresh();
    const seen = () => document.visibilityState === "visible" && void refresh();
    document.addEventListener("visibilitychange", seen);
    window.addEventListener("focus", seen);
    return () => {
      document.removeEventListener("visibilitychange", seen);
      window.removeEventListener("focus", seen);
    };
  }, []);

  useEffect(() => {
    if (!feed) return;
    let soon: ReturnType<typeof setTimeout> | undefined;
    const leave = feed.subscribe((events) => {
      const told = events.some((each) => each.method === "lifecycle" && each.namespace.length === 0);
      if (!told) return;
      clearTimeout(soon);
      // A run says that it ends a moment before its thread's row does.
      soon = setTimeout(changed, 300);
    });
    return () => {
      clearTimeout(soon);
      leave();
    };
  }, [feed]);

  useEffect(() => {
    if (!busy) return;
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") void refresh();
    }, PAUSE);
    return () => clearInterval(timer);
  }, [busy]);
}
