/** Whose graph is shown: of the thread's assistant, or of the one that is chosen for a new thread. */

import { Problem, get, post } from "../api";
import { useValue } from "../store";
import { chosen } from "../thread/settings";
import type { Drawing } from "./outline";
import { type Loaded, useLoaded } from "./use-loaded";

export interface Assistant {
  assistant_id: string;
  graph_id: string;
  name: string;
  metadata: { created_by?: string };
}

interface ThreadRow {
  metadata: { assistant_id?: string; graph_id?: string };
}

/** `running` asks again when the first run of a thread has said which assistant it is of. */
export function useAssistant(threadId: string | null, running: boolean): Loaded<Assistant> {
  const { assistantId } = useValue(chosen);
  return useLoaded(`${threadId} ${assistantId} ${running}`, async (signal) => {
    const found = threadId === null ? null : await ofThread(threadId, signal);
    return get<Assistant>(`/assistants/${encodeURIComponent(found ?? assistantId)}`, { signal });
  });
}

/** The search leaves out the thread's state, which may be large. */
async function ofThread(threadId: string, signal: AbortSignal): Promise<string | null> {
  const wanted = { ids: [threadId], select: ["thread_id", "metadata"], limit: 1 };
  const [row] = await post<ThreadRow[]>("/threads/search", wanted, { signal });
  return row?.metadata.assistant_id ?? row?.metadata.graph_id ?? null;
}

export const useDrawing = (assistant: Assistant | null): Loaded<Drawing> =>
  useLoaded(assistant?.assistant_id ?? null, async (signal) => {
    const path = `/assistants/${assistant?.assistant_id}/graph`;
    try {
      // `xray=1` would look into one level of subgraphs only.
      return await get<Drawing>(`${path}?xray=true`, { signal });
    } catch (error) {
      // A subgraph elsewhere may not answer: then the graph is drawn without what is in its boxes.
      if (error instanceof Problem && error.status < 500) return get<Drawing>(path, { signal });
      throw error;
    }
  });

/** The names that runs may give for an assistant: a graph's own goes by the graph's name, too. */
export const namesOf = ({ assistant_id, graph_id, metadata }: Assistant): string[] =>
  metadata.created_by === "system" ? [assistant_id, graph_id] : [assistant_id];
