/** Whether a thread has stopped in the middle, at a breakpoint, and before which nodes. */

import { get } from "../api";
import type { Interrupt } from "../protocol";
import { useLoaded } from "./use-loaded";

export interface Stopped {
  before: string[];
  /** It waits for an answer, which is given in the place Talk. */
  asks: boolean;
  failed: boolean;
}

interface State {
  next: string[];
  interrupts: Interrupt[];
  tasks: { error: string | null }[];
}

const SELECT = ["next", "interrupts", "tasks"].map((each) => `select=${each}`).join("&");

/** `version` asks again: it changes when a run has ended, or the state was edited. */
export function useStopped(threadId: string | null, running: boolean, version: number): Stopped | null {
  const key = threadId === null || running ? null : `${threadId} ${version}`;
  const { value } = useLoaded(key, async (signal): Promise<Stopped | null> => {
    const { next, interrupts, tasks } = await get<State>(`/threads/${threadId}/state?${SELECT}`, { signal });
    if (next.length === 0) return null;
    return { before: next, asks: interrupts.length > 0, failed: tasks.some(({ error }) => error !== null) };
  });
  return value;
}
