import { useEffect, useState } from "react";

import { Conversation } from "./conversation";
import type { Feed } from "./feed";

/** Threads that were made by this tab a moment ago. */
export const made = new Set<string>();

export function useConversation(feed: Feed | null): Conversation | null {
  const [conversation, set] = useState<{ feed: Feed; of: Conversation } | null>(null);
  useEffect(() => {
    if (!feed) return set(null);
    const of = new Conversation(feed, made.delete(feed.threadId));
    set({ feed, of });
    return () => of.close();
  }, [feed]);
  return conversation?.feed === feed ? conversation.of : null;
}
