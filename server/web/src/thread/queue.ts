/** What was said and has not begun: shown at once, until the thread's state or its run has it. */

import { get } from "../api";
import { create } from "../store";
import type { ThreadState } from "./state";

export interface Waiting {
  id: string;
  text: string;
  runId: string | null;
}

export const waiting = create<Record<string, Waiting[]>>({});

export function add(threadId: string, entry: Waiting): void {
  waiting.update((all) => {
    const others = (all[threadId] ?? []).filter(({ id }) => id !== entry.id);
    return { ...all, [threadId]: [...others, entry] };
  });
}

export function drop(threadId: string, gone: (entry: Waiting) => boolean): void {
  const before = waiting.get()[threadId];
  if (!before?.some(gone)) return;
  waiting.update((all) => ({ ...all, [threadId]: before.filter((entry) => !gone(entry)) }));
}

/** Drop what the thread has taken up. */
export function dropTaken(threadId: string, state: ThreadState): void {
  if (!waiting.get()[threadId]?.length) return;
  const ids = new Set([...state.stored, ...state.asked].map((message) => message.id));
  // A run that was undone has left nothing; one that failed at once has left its question here only.
  const isOver = state.seen && (state.phase === "idle" || state.phase === "waiting");
  drop(threadId, ({ id, runId }) => ids.has(id) || (isOver && runId !== null && runId === state.run?.id));
}

interface Row {
  run_id: string;
  kwargs?: { input?: { messages?: unknown } | null };
}

/** Read the runs that wait: another tab may have sent them. */
export async function load(threadId: string): Promise<void> {
  const rows = await get<Row[]>(`/threads/${threadId}/runs?status=pending&limit=20`);
  for (const { run_id: runId, kwargs } of rows.reverse()) {
    const said = kwargs?.input?.messages;
    const last = Array.isArray(said) ? said.at(-1) : null;
    if (last?.id && typeof last.content === "string") add(threadId, { id: last.id, text: last.content, runId });
  }
}
