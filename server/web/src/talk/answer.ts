/** Answers what a thread waits for, and remembers which answers the service would not take. */

import { create, useValue } from "../store";
import type { Interrupt, ProtocolEvent } from "../protocol";
import { command } from "../thread/commands";
import { leaveFeed, openFeed } from "../thread/open";

export interface Refused {
  threadId: string;
  interrupt: Interrupt;
  message: string;
}

/** By the id of the interrupt: it still waits, as its answer did not fit. */
const refused = create<Record<string, Refused>>({});

/**
 * Answer an interrupt. Whether the answer fits, only its run says: one that fails over it leaves the
 * thread as it was. So the run is followed to its end, and its refusal kept for the card.
 */
export async function respond(threadId: string, interrupt: Interrupt, response: unknown): Promise<void> {
  forget(interrupt.id);
  const feed = openFeed(threadId);
  const seen: ProtocolEvent[] = [];
  let run: string | null = null;
  let leave = () => {};
  let left = false;
  const end = () => {
    if (left) return;
    left = true;
    leave();
    leaveFeed(threadId);
  };
  const look = (events: ProtocolEvent[]) => {
    for (const event of events) {
      if (event.method !== "lifecycle" || event.namespace.length || event.run !== run) continue;
      if (event.data.event === "running" || event.data.event === "started") continue;
      const why = event.data.event === "failed" ? refusalIn(event.data.error) : null;
      if (why !== null) keep({ threadId, interrupt, message: why });
      return end();
    }
  };
  leave = feed.subscribe((events) => {
    // It may say more than the answer to the command as yet.
    if (run === null) seen.push(...events);
    else look(events);
  });
  try {
    const params = { interrupt_id: interrupt.id, response };
    const started = await command(threadId, "input.respond", params);
    run = started.run_id;
    look(seen);
  } catch (error) {
    end();
    throw error;
  }
}

const REFUSAL = /^InvalidAnswer: (?:What waits cannot be answered so: )?/;

/** What the service has against an answer; null where a run failed over something else. */
export function refusalIn(error: unknown): string | null {
  if (typeof error !== "string" || !REFUSAL.test(error)) return null;
  return error.replace(REFUSAL, "").replace(/^[:\s]+/, "");
}

const keep = (entry: Refused) =>
  refused.update((known) => ({ ...known, [entry.interrupt.id]: entry }));

function forget(id: string): void {
  refused.update(({ [id]: _, ...others }) => others);
}

/** Why the last answer to an interrupt was not taken; empty where none was refused. */
export const useRefusal = (id: string): string => useValue(refused)[id]?.message ?? "";

/** The interrupts that wait, those included whose answer has begun a run that would not take it. */
export function useWaiting(threadId: string | null, interrupts: Interrupt[]): Interrupt[] {
  const again = Object.values(useValue(refused))
    .filter((each) => each.threadId === threadId && !interrupts.some(({ id }) => id === each.interrupt.id))
    .map((each) => each.interrupt);
  return again.length ? [...interrupts, ...again] : interrupts;
}
