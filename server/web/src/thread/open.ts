/** Which threads are open: parts of the page that show the same thread share one connection. */

import { useEffect, useState } from "react";

import { Feed } from "./feed";

const LINGER = 2_000; // milliseconds in which another part may take it up
const open = new Map<string, { feed: Feed; users: number }>();

export function openFeed(threadId: string): Feed {
  const entry = open.get(threadId) ?? { feed: new Feed(threadId), users: 0 };
  entry.users += 1;
  open.set(threadId, entry);
  return entry.feed;
}

export function leaveFeed(threadId: string): void {
  const entry = open.get(threadId);
  if (!entry) return;
  entry.users -= 1;
  setTimeout(() => {
    if (entry.users > 0 || open.get(threadId) !== entry) return;
    open.delete(threadId);
    entry.feed.close();
  }, LINGER);
}

/** Close the feed of a thread that is about to be deleted: nobody asks for it again. */
export function dropFeed(threadId: string): void {
  open.get(threadId)?.feed.close();
  open.delete(threadId);
}

/** The feed of a thread while a component shows it; null before, and where there is no thread. */
export function useFeed(threadId: string | null): Feed | null {
  const [feed, setFeed] = useState<Feed | null>(null);
  useEffect(() => {
    if (threadId === null) return setFeed(null);
    setFeed(openFeed(threadId));
    return () => leaveFeed(threadId);
  }, [threadId]);
  return feed?.threadId === threadId ? feed : null;
}
