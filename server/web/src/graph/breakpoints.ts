/** Before and after which nodes a run stops: for each assistant, kept for this tab. */

import { create, useValue } from "../store";
import { session } from "../stored";

export interface Points {
  before: readonly string[];
  after: readonly string[];
}

export type When = keyof Points;

const STORED = "everturn.breakpoints";
const NONE: Points = { before: [], after: [] };

/** By the ids of assistants, and by the names of graphs, which are their own assistants'. */
export const breakpoints = create<Readonly<Record<string, Points>>>(first());

breakpoints.subscribe(() => session.setItem(STORED, JSON.stringify(breakpoints.get())));

function first(): Record<string, Points> {
  try {
    return JSON.parse(session.getItem(STORED) ?? "{}");
  } catch {
    return {};
  }
}

export const pointsOf = (all: Readonly<Record<string, Points>>, assistantId: string): Points => all[assistantId] ?? NONE;

export const usePoints = (assistantId: string): Points => pointsOf(useValue(breakpoints), assistantId);

/** Set a breakpoint, or take it away. An assistant may have several names. */
export function toggle(assistantIds: readonly string[], node: string, when: When): void {
  const points = pointsOf(breakpoints.get(), assistantIds[0] ?? "");
  const isSet = points[when].includes(node);
  const nodes = isSet ? points[when].filter((each) => each !== node) : [...points[when], node];
  const changed = { ...points, [when]: nodes };
  breakpoints.update((all) => ({ ...all, ...Object.fromEntries(assistantIds.map((id) => [id, changed])) }));
}

/**
 * What a run of the assistant is to be given, for `POST /threads/{id}/runs`: `interrupt_before` and
 * `interrupt_after`, or nothing. The command `run.start` takes neither.
 */
export function interruptsOf(assistantId: string): { interrupt_before?: string[]; interrupt_after?: string[] } {
  const { before, after } = pointsOf(breakpoints.get(), assistantId);
  return {
    ...(before.length ? { interrupt_before: [...before] } : {}),
    ...(after.length ? { interrupt_after: [...after] } : {}),
  };
}

export const hasBreakpoints = (assistantId: string): boolean => Object.keys(interruptsOf(assistantId)).length > 0;
