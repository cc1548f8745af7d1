import { useEffect } from "react";

import { get } from "../api";
import { choose, chosen } from "../thread/settings";
import { made } from "../thread/use-conversation";

interface Row {
  metadata?: { assistant_id?: unknown; graph_id?: unknown } | null;
}

/** A thread that is opened goes on with the assistant that it was begun with. */
export function useThreadAssistant(threadId: string | null): void {
  useEffect(() => {
    if (threadId === null || made.has(threadId)) return;
    let left = false;
    get<Row>(`/threads/${threadId}`)
      .then(({ metadata }) => {
        // A thread that no run was begun in may name its graph alone.
        const id = metadata?.assistant_id ?? metadata?.graph_id;
        if (!left && typeof id === "string" && id !== chosen.get().assistantId) choose({ assistantId: id });
      })
      .catch(() => undefined);
    return () => void (left = true);
  }, [threadId]);
}
