/** Whose graph is shown: of the thread's assistant, or of the one that is chosen for a new thread. */

import { get } from "../api";
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

async function ofThread(threadId: string, signal: AbortSignal): Promise<string | null> {
  const { metadata } = await get<ThreadRow>(`/threads/${threadId}`, { signal });
  return metadata.assistant_id ?? metadata.graph_id ?? null;
}

export const useDrawing = (assistant: Assistant | null): Loaded<Drawing> =>
  // `xray=1` would look into one level of subgraphs only.
  useLoaded(assistant?.assistant_id ?? null, (signal) =>
    get<Drawing>(`/assistants/${assistant?.assistant_id}/graph?xray=true`, { signal }),
  );

/** The names that runs may give for an assistant: a graph's own goes by the graph's name, too. */
export const namesOf = ({ assistant_id, graph_id, metadata }: Assistant): string[] =>
  metadata.created_by === "system" ? [assistant_id, graph_id] : [assistant_id];
